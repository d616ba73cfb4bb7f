// local: an array that is indexed at run time.
#include "device.cuh"

WRNC_KERNEL(local, 32, 1)(const f32* x, f32* y, i32 n) {
  f32 a[64];
  for (i32 i = 0; i < 64; i++) a[i] = x[i];
  for (i32 i = 0; i < n; i++) a[i * n % 64] = a[i] + 1.0f;
  y[0] = a[n % 64];
}
