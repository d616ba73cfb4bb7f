// C[m,n] = A[m,k] * B[k,n], A and B in bf16, C in f32: tensor cores, fed by
// asynchronous copies through a ring of three stages. Tiles of 64x64, by 2x2 warps
// of 32x32. m and n are multiples of 64, k of 32.
#include "device.cuh"

struct Args {
  const bf16* a;
  const bf16* b;
  f32* c;
  i32 m, n, k;
};

constexpr i32 kTile = 64, kDepth = 32, kStages = 3;

// Rows are padded by 16 bytes, so that the eight rows of an ldmatrix lie in
// different banks.
constexpr i32 kRowA = kDepth + 8, kRowB = kTile + 8;

struct Position {
  i32 row0, column0;
};

// fetch starts the copies of one step of k into a stage.
WRNC_DEVICE void fetch(const Args& args, const Position& at, bf16* a, bf16* b, i32 k0) {
  const i32 thread = i32(thread_index());
  for (i32 i = thread; i < kTile * kDepth / 8; i += 128) {
    const i32 row = i / (kDepth / 8), k = i % (kDepth / 8) * 8;
    cp_async<16>(a + row * kRowA + k, args.a + (at.row0 + row) * args.k + k0 + k, true);
  }
  for (i32 i = thread; i < kTile * kDepth / 8; i += 128) {
    const i32 k = i / (kTile / 8), column = i % (kTile / 8) * 8;
    cp_async<16>(b + k * kRowB + column, args.b + (k0 + k) * args.n + at.column0 + column, true);
  }
}

WRNC_KERNEL(hgemm, 128, 2)(const Args args) {
  Smem smem(kStages * (kTile * kRowA + kDepth * kRowB) * 2);
  bf16* const a = smem.take<bf16, kStages * kTile * kRowA>();
  bf16* const b = smem.take<bf16, kStages * kDepth * kRowB>();
  const i32 tiles = args.n / kTile;
  const Position at = {i32(block_index()) / tiles * kTile, i32(block_index()) % tiles * kTile};
  const i32 lane = i32(lane_index()), warp = i32(warp_index());
  const i32 y = warp / 2 * 32, x = warp % 2 * 32;

  f32 sums[2][4][4] = {};
  const i32 steps = args.k / kDepth;
  for (i32 s = 0; s < kStages - 1; s++) {
    if (s < steps) fetch(args, at, a + s * kTile * kRowA, b + s * kDepth * kRowB, s * kDepth);
    cp_async_commit();
  }
  for (i32 step = 0; step < steps; step++) {
    cp_async_wait<kStages - 2>();
    barrier();  // this step's stage is filled, and all are done with the last step's
    const i32 ahead = step + kStages - 1;
    if (ahead < steps)
      fetch(args, at, a + ahead % kStages * kTile * kRowA, b + ahead % kStages * kDepth * kRowB, ahead * kDepth);
    cp_async_commit();
    const bf16* const as = a + step % kStages * kTile * kRowA;
    const bf16* const bs = b + step % kStages * kDepth * kRowB;
    for (i32 k = 0; k < kDepth; k += 16) {
      u32 p[2][4], q[4][2];
      for (i32 i = 0; i < 2; i++) ldmatrix_x4(p[i], as + (y + 16 * i + lane % 16) * kRowA + k + lane / 16 * 8);
      for (i32 j = 0; j < 4; j++) ldmatrix_x2_trans(q[j], bs + (k + lane % 16) * kRowB + x + 8 * j);
      for (i32 i = 0; i < 2; i++)
        for (i32 j = 0; j < 4; j++) mma_bf16(sums[i][j], p[i], q[j]);
    }
  }
  cp_async_wait<0>();
  for (i32 i = 0; i < 2; i++)
    for (i32 j = 0; j < 4; j++)
      for (i32 h = 0; h < 2; h++) {
        const i32 row = at.row0 + y + 16 * i + 8 * h + lane / 4, column = at.column0 + x + 8 * j + lane % 4 * 2;
        store(args.c + row * args.n + column, Vec<f32, 2>{{sums[i][j][2 * h], sums[i][j][2 * h + 1]}});
      }
}
