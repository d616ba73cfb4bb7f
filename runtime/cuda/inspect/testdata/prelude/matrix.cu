// matrix: each instruction on matrices once.
#include "device.cuh"

struct Args {
  const bf16* x;
  f32* w;
};

WRNC_KERNEL(matrix, 32, 1)(const Args a) {
  const u32 t = lane_index();
  Smem smem(1024);
  bf16* const p = smem.take<bf16, 512>();
  store(p + 16 * t, load<bf16, 16>(a.x + 16 * t));
  barrier();
  u32 x[4], y[2], z[4], w[2];
  ldmatrix_x4(x, p + t * 8);
  ldmatrix_x2(y, p + t % 16 * 8);
  ldmatrix_x4_trans(z, p + t * 8);
  ldmatrix_x2_trans(w, p + t % 16 * 8);
  f32 d[4] = {};
  mma_bf16(d, x, y);
  mma_tf32(d, z, w);
  store(a.w + 4 * t, Vec<f32, 4>{{d[0], d[1], d[2], d[3]}});
}
