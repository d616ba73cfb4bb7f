// generic: a pointer to global or shared memory, as it turns out.
#include "device.cuh"

WRNC_KERNEL(generic, 32, 1)(f32* x, i32 n) {
  Smem smem(128);
  f32* const s = smem.take<f32, 32>();
  f32* p = n > 0 ? x : s;
  p[thread_index()] = 1.0f;
  barrier();
  x[64 + thread_index()] = p[thread_index() ^ 1];
}
