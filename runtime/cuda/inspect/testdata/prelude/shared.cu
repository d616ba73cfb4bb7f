// shared: copies of each size into shared memory, wide accesses there, a second
// layout over the first.
#include "device.cuh"

struct Args {
  const bf16* x;
  const f32* z;
  bf16* y;
  f32* w;
  i32 n;
};

WRNC_KERNEL(shared, 128, 1)(const Args a) {
  const u32 t = thread_index();
  Smem smem(2048 + 1024 + 512);
  bf16* const p = smem.take<bf16, 1024>();
  f32* const q = smem.take<f32, 256>();
  f32* const r = smem.take<f32, 128>();
  cp_async<16>(p + 8 * t, a.x + 8 * t, i32(t) < a.n);
  cp_async<8>(q + 2 * t, a.z + 2 * t, i32(t) < a.n);
  cp_async<4>(r + t, a.z + t, true);
  cp_async_commit();
  cp_async_wait<0>();
  barrier();
  store(a.y + 8 * t, load<bf16, 8>(p + 8 * (t ^ 1)));
  store(a.w + 2 * t, load<f32, 2>(q + 2 * (t ^ 1)));
  const f32 kept = r[t ^ 1];
  barrier();
  Smem again(512);
  f32* const s = again.take<f32, 128>();
  s[t] = kept;
  barrier();
  a.w[t] = s[t ^ 2];
}
