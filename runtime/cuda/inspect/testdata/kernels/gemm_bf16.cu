// gemm_bf16: c = a * b' with a [m][k], b [n][k] in bf16 and c [m][n] in f32.
// Tiles of 64x64x32, four warps of 32x32, two stages. n is a multiple of 64 and k
// of 32; rows of a beyond m are zero. Blocks: ceil(m/64) * n/64, n fastest.
#include "device.cuh"

struct Args {
  const bf16* a;
  const bf16* b;
  f32* c;
  i32 m, n, k;
};

constexpr u32 kRows = 64, kDepth = 32, kStages = 2;
constexpr u32 kTile = kRows * kDepth;
constexpr u32 kBytes = 2 * kStages * kTile * sizeof(bf16);

// at is the place of eight elements of a tile's row. Without the exclusive or the
// eight rows of an ldmatrix would lie in the same banks.
WRNC_DEVICE u32 at(u32 row, u32 eight) { return row * kDepth + (eight ^ (row / 2 % 4)) * 8; }

// fetch starts the copies of one step's tiles.
WRNC_DEVICE void fetch(const Args& args, bf16* a, bf16* b, i32 m0, i32 n0, i32 k0) {
#pragma unroll
  for (u32 i = 0; i < kTile / 8 / 128; i++) {
    const u32 piece = i * 128 + thread_index(), row = piece / 4, eight = piece % 4;
    const i32 m = m0 + i32(row);
    const bool inside = m < args.m;
    cp_async<16>(a + at(row, eight), args.a + i64(inside ? m : 0) * args.k + k0 + eight * 8, inside);
    cp_async<16>(b + at(row, eight), args.b + i64(n0 + i32(row)) * args.k + k0 + eight * 8, true);
  }
}

WRNC_KERNEL(gemm_bf16, 128, 4)(const Args args) {
  Smem smem(kBytes);
  bf16* const a = smem.take<bf16, kStages * kTile>();
  bf16* const b = smem.take<bf16, kStages * kTile>();
  const u32 lane = lane_index(), warp = warp_index();
  const u32 wm = warp % 2 * 32, wn = warp / 2 * 32;
  const i32 tiles = args.n / i32(kRows);
  const i32 m0 = i32(block_index()) / tiles * i32(kRows), n0 = i32(block_index()) % tiles * i32(kRows);

  f32 sum[2][4][4] = {};
  fetch(args, a, b, m0, n0, 0);
  cp_async_commit();
  for (i32 k0 = 0; k0 < args.k; k0 += i32(kDepth)) {
    const u32 stage = u32(k0) / kDepth % kStages;
    const i32 next = k0 + i32(kDepth);
    if (next < args.k) fetch(args, a + (stage ^ 1) * kTile, b + (stage ^ 1) * kTile, m0, n0, next);
    cp_async_commit();
    cp_async_wait<1>();
    barrier();
#pragma unroll
    for (u32 half = 0; half < kDepth / 16; half++) {
      u32 fa[2][4], fb[4][2];
#pragma unroll
      for (u32 i = 0; i < 2; i++) ldmatrix_x4(fa[i], a + stage * kTile + at(wm + i * 16 + lane % 16, half * 2 + lane / 16));
#pragma unroll
      for (u32 j = 0; j < 2; j++) {
        u32 two[4];
        ldmatrix_x4(two, b + stage * kTile + at(wn + j * 16 + lane % 8 + lane / 16 * 8, half * 2 + lane / 8 % 2));
        fb[2 * j][0] = two[0], fb[2 * j][1] = two[1];
        fb[2 * j + 1][0] = two[2], fb[2 * j + 1][1] = two[3];
      }
#pragma unroll
      for (u32 i = 0; i < 2; i++)
#pragma unroll
        for (u32 j = 0; j < 4; j++) mma_bf16(sum[i][j], fa[i], fb[j]);
    }
    barrier();
  }
#pragma unroll
  for (u32 i = 0; i < 2; i++)
#pragma unroll
    for (u32 j = 0; j < 4; j++)
#pragma unroll
      for (u32 h = 0; h < 2; h++) {
        const i32 m = m0 + i32(wm + i * 16 + h * 8 + lane / 4);
        const i32 n = n0 + i32(wn + j * 8 + lane % 4 * 2);
        if (m < args.m) store(args.c + i64(m) * args.n + n, Vec<f32, 2>{{sum[i][j][2 * h], sum[i][j][2 * h + 1]}});
      }
}
