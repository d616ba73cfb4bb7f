// warning: a variable that is read before it has a value.
#include "device.cuh"

WRNC_KERNEL(warning, 32, 1)(f32* x) {
  f32 v;
  x[thread_index()] = v;
}
