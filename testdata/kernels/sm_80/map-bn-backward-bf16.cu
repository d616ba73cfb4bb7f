// map over [N,8,8,512]
//
//   %0 = affine a0, a1 : f32[N,8,8,512]
//   %1 = avgpool_grad a2 {height=8, width=8} : f32[N,8,8,512]
//   %2 = relu_grad %1, %0 : f32[N,8,8,512]
//   %3 = convert %2 {to=bf16} : bf16[N,8,8,512]
//   %4 = bn_grad_stats %3, a0, a3 : f32[2,512]
//   %5, %6, %7 = bn_grad_fold %4, a3, a7 {eps=1e-05, count=count0} : f32[3,512], f32[512], f32[512]
//   a8 = %5, a9 = %6, a10 = %7
#include "map.cuh"

struct Args {
  const bf16* a0;
  const f32* a1;
  const bf16* a2;
  const f32* a3;
  f32* a4;
  f32* a5;
  u32* a6;
  const f32* a7;
  f32* a8;
  f32* a9;
  f32* a10;
  i32 n;
  f32 count0;
};

using Shape = MapShape<8, 8, 512>;  // rows, pixels, channels
using Unit = Box<2, 8, 8>;  // samples, rows, pixels
using Tile = MapTile<64, 256>;  // channels, threads

struct Epilogue {
  static constexpr u32 kVec = 8;
  static constexpr bool kReduces = true;
  struct Channel {
    Floats<8> v1[2];
    Floats<8> v3[1];
  };
  WRNC_DEVICE Channel channel(const Args& a, i32 c) {
    Channel ch;
    ch.v1[0] = load_floats<8>(a.a1 + c);
    ch.v1[1] = load_floats<8>(a.a1 + 512 + c);
    ch.v3[0] = load_floats<8>(a.a3 + c);
    return ch;
  }
  struct Sums {
    Acc<GradStats, 8> q0;
  };
  WRNC_DEVICE void apply(const Args& a, const Channel& ch, Sums& s, const At& at, i32 c, const Floats<8>& y) {
    const i64 e = at.pixel * 512 + c;
    const auto m0 = load_floats<8>(a.a0 + e);
    const auto x0 = affine(m0, ch.v1[0], ch.v1[1]);
    const auto p2 = load_floats<8>(a.a2 + (i64)at.n * 512 + c);
    const auto x1 = avgpool_grad(p2, 64.0f);
    const auto x2 = relu_grad(x1, x0);
    const auto x3 = round_to<bf16>(x2);
    s.q0.add(x3, m0, ch.v3[0]);
  }
  template <class R>
  WRNC_DEVICE void partials(const Args& a, const Sums& s, R& r) {
    r.write(a.a4, s.q0);
  }
  template <class R>
  WRNC_DEVICE void finish(const Args& a, R& r) {
    const GradStats q0 = r.merge(a.a4, GradStats{});
    if (r.owns()) {
      const i32 c = r.channel();
      a.a5[c] = q0.sum;
      a.a5[512 + c] = q0.dot;
      const auto t0 = bn_grad_fold(q0, Stats{a.a3[c], a.a3[512 + c]}, a.a7[c], 1e-05f, a.count0);
      a.a8[c] = t0.c0;
      a.a8[512 + c] = t0.c1;
      a.a8[2 * 512 + c] = t0.c2;
      a.a9[c] = t0.dgamma;
      a.a10[c] = t0.dbeta;
    }
  }
  WRNC_DEVICE u32* counter(const Args& a) { return a.a6; }
};

static_assert(Tile::kThreads == 256 && MapLayout<Shape, Tile, Epilogue>::kShared == 4352, "the plan's block");

WRNC_KERNEL(map_8x8x512_13ae5f03, 256, 1)(const Args args) {
  map<Shape, Unit, Tile, Epilogue>(args);
}
