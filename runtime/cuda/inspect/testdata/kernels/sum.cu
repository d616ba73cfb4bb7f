// sum: y[0] = the sum of x, n elements, a multiple of 4. Every block sums its
// stride; the last block adds the blocks' sums in their order.
#include "device.cuh"

struct Args {
  const f32* x;
  f32* partials;  // one a block
  f32* y;
  u32* counter;
  i64 n;
};

constexpr u32 kThreads = 256;

// block_sum is the sum over the block's threads, in every thread of its first warp.
WRNC_DEVICE f32 block_sum(f32* warps, f32 v) {
#pragma unroll
  for (u32 mask = 16; mask > 0; mask /= 2) v = v + shuffle_xor(v, mask);
  if (lane_index() == 0) warps[warp_index()] = v;
  barrier();
  f32 w = lane_index() < kThreads / 32 ? warps[lane_index()] : 0.0f;
#pragma unroll
  for (u32 mask = 16; mask > 0; mask /= 2) w = w + shuffle_xor(w, mask);
  return w;
}

WRNC_KERNEL(sum, 256, 4)(const Args a) {
  Smem smem(kThreads / 32 * sizeof(f32));
  f32* const warps = smem.take<f32, kThreads / 32>();
  f32 v = 0.0f;
  for (i64 i = (i64(block_index()) * kThreads + thread_index()) * 4; i < a.n; i += i64(block_count()) * kThreads * 4) {
    const Vec<f32, 4> x = load<f32, 4>(a.x + i);
    v = v + ((x.v[0] + x.v[1]) + (x.v[2] + x.v[3]));
  }
  const f32 mine = block_sum(warps, v);
  if (thread_index() == 0) a.partials[block_index()] = mine;
  if (last_block(a.counter, block_count())) {
    f32 total = 0.0f;
    for (u32 i = thread_index(); i < block_count(); i += kThreads) total = total + a.partials[i];
    total = block_sum(warps, total);
    if (thread_index() == 0) a.y[0] = total;
  }
}
