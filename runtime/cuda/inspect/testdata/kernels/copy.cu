// copy: y = x of n elements, sixteen bytes a thread. n is a multiple of 4.
#include "device.cuh"

struct Args {
  const f32* x;
  f32* y;
  i64 n;
};

WRNC_KERNEL(copy, 256, 6)(const Args a) {
  const i64 i = (i64(block_index()) * 256 + thread_index()) * 4;
  if (i < a.n) store(a.y + i, load<f32, 4>(a.x + i));
}
