// arithmetic: everything else in device.cuh, once.
#include "device.cuh"

struct Args {
  const f32* x;
  f32* y;
  u32* u;
  bf16* b;
  u32* counter;
};

// Sizes may be computed by functions, which carry WRNC_DEVICE as all others do.
WRNC_DEVICE constexpr u32 twice(u32 n) { return 2 * n; }
struct Sizes {
  static constexpr u32 kTwice = twice(4);
};
static_assert(Sizes::kTwice == 8, "a function in a constant");

struct Member {
  f32 v;
  WRNC_MEMBER f32 get() const { return v; }
  WRNC_DEVICE f32 of(f32 w) { return w; }
};

WRNC_KERNEL(arithmetic, 64, 1)(const Args a) {
  const u32 t = thread_index() + warp_index() + lane_index();
  const f32 x = a.x[t], y = a.x[t + 64];
  a.y[t] = fma(x, y, 3.0f);
  a.y[t + 64] = x * y + 3.0f;
  a.y[t + 128] = sqrt_(x);
  a.y[t + 192] = div_(x, y);
  a.y[t + 256] = exp_(x);
  a.y[t + 320] = log_(x);
  a.y[t + 384] = min_(x, y) + max_(x, y);
  a.y[t + 448] = from_bits(mul_hi(bits_of(x), bits_of(y)));
  a.y[t + 512] = shuffle_xor(x, 1) + shuffle_down(y, 2);
  a.u[t] = shuffle_xor(bits_of(x), 4) + shuffle_down(bits_of(y), 8);
  a.u[t + 64] = u32(imin(i32(bits_of(x)), imax(i32(bits_of(y)), 7)));
  a.u[t + 128] = barrier_or(x > y);
  a.b[t].bits = bf16_bits(x);
  a.y[t + 576] = Member{x}.get() + Member::of(y);
  if (last_block(a.counter, block_count())) a.y[t + 640] = 1.0f;
}
