// gemm_tf32: c = a * b' with a [m][k], b [n][k] and c [m][n] in f32, the elements
// of a and b rounded to tf32 before. One warp, tiles of 32x32x16. m and n are
// multiples of 32, k of 16. Blocks: m/32 * n/32, n fastest.
#include "device.cuh"

struct Args {
  const f32* a;
  const f32* b;
  f32* c;
  i32 m, n, k;
};

constexpr u32 kRows = 32, kDepth = 16;
constexpr u32 kTile = kRows * kDepth;
constexpr u32 kBytes = 2 * kTile * sizeof(f32);

// at is the place of four elements of a tile's row.
WRNC_DEVICE u32 at(u32 row, u32 four) { return row * kDepth + (four ^ (row / 2 % 4)) * 4; }

WRNC_KERNEL(gemm_tf32, 32, 8)(const Args args) {
  Smem smem(kBytes);
  f32* const a = smem.take<f32, kTile>();
  f32* const b = smem.take<f32, kTile>();
  const u32 lane = lane_index();
  const i32 tiles = args.n / i32(kRows);
  const i32 m0 = i32(block_index()) / tiles * i32(kRows), n0 = i32(block_index()) % tiles * i32(kRows);

  f32 sum[2][4][4] = {};
  // The compiler would unroll this for sm_90 until it has used all registers.
#pragma unroll 1
  for (i32 k0 = 0; k0 < args.k; k0 += i32(kDepth)) {
#pragma unroll
    for (u32 i = 0; i < kTile / 4 / 32; i++) {
      const u32 piece = i * 32 + lane, row = piece / 4, four = piece % 4;
      store(a + at(row, four), load<f32, 4>(args.a + i64(m0 + i32(row)) * args.k + k0 + four * 4));
      store(b + at(row, four), load<f32, 4>(args.b + i64(n0 + i32(row)) * args.k + k0 + four * 4));
    }
    barrier();
#pragma unroll
    for (u32 half = 0; half < kDepth / 8; half++) {
      // Two bytes or four, ldmatrix moves rows of sixteen: lane l gets element l%4
      // of row l/4, which is where the multiply wants it.
      u32 fa[2][4], fb[4][2];
#pragma unroll
      for (u32 i = 0; i < 2; i++) ldmatrix_x4(fa[i], a + at(i * 16 + lane % 16, half * 2 + lane / 16));
#pragma unroll
      for (u32 j = 0; j < 4; j++) ldmatrix_x2(fb[j], b + at(j * 8 + lane % 8, half * 2 + lane / 8 % 2));
#pragma unroll
      for (u32 i = 0; i < 2; i++)
#pragma unroll
        for (u32 j = 0; j < 4; j++) mma_tf32(sum[i][j], fa[i], fb[j]);
    }
    barrier();
  }
#pragma unroll
  for (u32 i = 0; i < 2; i++)
#pragma unroll
    for (u32 j = 0; j < 4; j++)
#pragma unroll
      for (u32 h = 0; h < 2; h++) {
        const i32 m = m0 + i32(i * 16 + h * 8 + lane / 4);
        const i32 n = n0 + i32(j * 8 + lane % 4 * 2);
        store(args.c + i64(m) * args.n + n, Vec<f32, 2>{{sum[i][j][2 * h], sum[i][j][2 * h + 1]}});
      }
}
