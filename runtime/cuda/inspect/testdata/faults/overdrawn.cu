// overdrawn: takes more shared memory than it announced.
#include "device.cuh"

WRNC_KERNEL(overdrawn, 32, 1)(f32* x) {
  Smem smem(64);
  f32* const s = smem.take<f32, 32>();
  s[thread_index()] = x[thread_index()];
  barrier();
  x[thread_index()] = s[thread_index() ^ 1];
}
