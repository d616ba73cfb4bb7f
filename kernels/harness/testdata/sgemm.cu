// C[m,n] = A[m,k] * B[k,n] in f32, tiles of 64x64 through shared memory. Each of
// 256 threads sums 4x4 results. m, n are multiples of 64, k of 16.
#include "device.cuh"

struct Args {
  const f32* a;
  const f32* b;
  f32* c;
  i32 m, n, k;
};

constexpr i32 kTile = 64, kDepth = 16;

WRNC_KERNEL(sgemm, 256, 2)(const Args args) {
  Smem smem(2 * kTile * kDepth * 4);
  f32* const a = smem.take<f32, kTile * kDepth>();  // [depth][row]
  f32* const b = smem.take<f32, kTile * kDepth>();  // [depth][column]
  const i32 thread = i32(thread_index());
  const i32 tiles = args.n / kTile;
  const i32 row0 = i32(block_index()) / tiles * kTile, column0 = i32(block_index()) % tiles * kTile;
  const i32 y = thread / 16 * 4, x = thread % 16 * 4;
  f32 sums[4][4] = {};
  for (i32 k0 = 0; k0 < args.k; k0 += kDepth) {
    const i32 row = thread / 4, depth = thread % 4 * 4;
    const Vec<f32, 4> v = load<f32, 4>(args.a + (row0 + row) * args.k + k0 + depth);
    for (i32 i = 0; i < 4; i++) a[(depth + i) * kTile + row] = v.v[i];
    store(b + thread * 4, load<f32, 4>(args.b + (k0 + thread / 16) * args.n + column0 + thread % 16 * 4));
    barrier();
    for (i32 k = 0; k < kDepth; k++) {
      const Vec<f32, 4> p = load<f32, 4>(a + k * kTile + y), q = load<f32, 4>(b + k * kTile + x);
      for (i32 i = 0; i < 4; i++)
        for (i32 j = 0; j < 4; j++) sums[i][j] = fma(p.v[i], q.v[j], sums[i][j]);
    }
    barrier();
  }
  for (i32 i = 0; i < 4; i++) {
    Vec<f32, 4> v;
    for (i32 j = 0; j < 4; j++) v.v[j] = sums[i][j];
    store(args.c + (row0 + y + i) * args.n + column0 + x, v);
  }
}
