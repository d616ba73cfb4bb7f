// The sum of n floats: one partial a block, which the last block adds up in order.
#include "device.cuh"

struct Args {
  const f32* x;
  f32* partials;
  f32* sum;
  u32* counter;
  i32 n;
};

// sum_of_block returns the sum of all threads' v in every thread of the first warp.
WRNC_DEVICE f32 sum_of_block(f32 v, f32* scratch) {
  for (u32 mask = 16; mask > 0; mask /= 2) v += shuffle_xor(v, mask);
  if (lane_index() == 0) scratch[warp_index()] = v;
  barrier();
  v = lane_index() < 8 ? scratch[lane_index()] : 0;
  for (u32 mask = 16; mask > 0; mask /= 2) v += shuffle_xor(v, mask);
  return v;
}

WRNC_KERNEL(reduce, 256, 1)(const Args args) {
  Smem smem(2 * 32);
  f32* const scratch = smem.take<f32, 8>();
  f32* const again = smem.take<f32, 8>();
  f32 v = 0;
  for (i32 i = i32(block_index() * 256 + thread_index()); i < args.n; i += i32(block_count()) * 256) v += args.x[i];
  v = sum_of_block(v, scratch);
  if (thread_index() == 0) args.partials[block_index()] = v;
  if (last_block(args.counter, block_count())) {
    v = 0;
    for (u32 i = thread_index(); i < block_count(); i += 256) v += args.partials[i];
    v = sum_of_block(v, again);
    if (thread_index() == 0) *args.sum = v;
  }
}
