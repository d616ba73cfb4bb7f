// C[m,n] = A[m,k] * B[n,k] transposed, of f32 that are rounded to tf32: tensor cores, operands
// read from shared memory a word at a time. Tiles of 32x32 by two warps, each 16x32.
#include "device.cuh"

struct Args {
  const f32* a;
  const f32* b;
  f32* c;
  i32 m, n, k;
};

constexpr i32 kTile = 32, kDepth = 32, kRow = kDepth + 4;

WRNC_KERNEL(tgemm, 64, 4)(const Args args) {
  Smem smem(2 * kTile * kRow * 4);
  f32* const a = smem.take<f32, kTile * kRow>();
  f32* const b = smem.take<f32, kTile * kRow>();
  const i32 tiles = args.n / kTile;
  const i32 row0 = i32(block_index()) / tiles * kTile, column0 = i32(block_index()) % tiles * kTile;
  const i32 thread = i32(thread_index()), group = i32(lane_index()) / 4, in_group = i32(lane_index()) % 4;
  const i32 y = i32(warp_index()) * 16;
  f32 sums[4][4] = {};
  for (i32 k0 = 0; k0 < args.k; k0 += kDepth) {
    for (i32 i = thread; i < kTile * kDepth / 4; i += 64) {
      const i32 row = i / (kDepth / 4), k = i % (kDepth / 4) * 4;
      store(a + row * kRow + k, load<f32, 4>(args.a + (row0 + row) * args.k + k0 + k));
      store(b + row * kRow + k, load<f32, 4>(args.b + (column0 + row) * args.k + k0 + k));
    }
    barrier();
    for (i32 k = 0; k < kDepth; k += 8) {
      u32 p[4];
      for (i32 r = 0; r < 4; r++) p[r] = bits_of(a[(y + group + r % 2 * 8) * kRow + k + in_group + r / 2 * 4]);
      for (i32 j = 0; j < 4; j++) {
        u32 q[2];
        for (i32 r = 0; r < 2; r++) q[r] = bits_of(b[(8 * j + group) * kRow + k + in_group + 4 * r]);
        mma_tf32(sums[j], p, q);
      }
    }
    barrier();
  }
  for (i32 j = 0; j < 4; j++)
    for (i32 h = 0; h < 2; h++)
      store(args.c + (row0 + y + 8 * h + group) * args.n + column0 + 8 * j + in_group * 2,
            Vec<f32, 2>{{sums[j][2 * h], sums[j][2 * h + 1]}});
}
