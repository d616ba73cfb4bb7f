// conv_dgrad of a 3x3 filter, stride 1: [N,32,32,128] -> [N,32,32,128], bf16 on tensor cores
//
//   %0 = affine a3, a4 : f32[N,32,32,128]
//   %1 = dropout_mask a5, a6 {p=0.4, stream=stream0} : u1[N,32,32,128]
//   %2 = conv2d_dgrad a1, a0 {pad=1, stride=1, height=32, width=32} : f32[N,32,32,128]
//   %3 = convert %2 {to=bf16} : bf16[N,32,32,128]
//   %4 = mask_scale %3, %1 {p=0.4} : f32[N,32,32,128]
//   %5 = relu_grad %4, %0 : f32[N,32,32,128]
//   %6 = convert %5 {to=bf16} : bf16[N,32,32,128]
//   %7 = bn_grad_stats %6, a3, a7 : f32[2,128]
//   %8, %9, %10 = bn_grad_fold %7, a7, a11 {eps=1e-05, count=count0} : f32[3,128], f32[128], f32[128]
//   a2 = %6, a12 = %8, a13 = %9, a14 = %10
#include "conv.cuh"

struct Args {
  const bf16* a0;
  const bf16* a1;
  bf16* a2;
  const bf16* a3;
  const f32* a4;
  const u64* a5;
  const u64* a6;
  const f32* a7;
  f32* a8;
  f32* a9;
  u32* a10;
  const f32* a11;
  f32* a12;
  f32* a13;
  f32* a14;
  i32 n;
  u32 stream0;
  f32 count0;
};

using Shape = ConvShape<32, 32, 128, 32, 32, 128, 3, 1, 1, true>;  // H W C, P Q K, R pad stride, dgrad
using Unit = Box<1, 8, 16>;  // samples, rows, pixels
using Tile = ConvTile<Bf16, 128, 64, 32, 4, 2, 2>;  // math, M, N, K, warps along M, along N, stages

struct Prologue {
  static constexpr u32 kVec = 8;
  struct Channel {};
  WRNC_DEVICE Channel channel(const Args&, i32) { return {}; }
  WRNC_DEVICE Floats<8> apply(const Args& a, const Channel& ch, const At& at, i32 c) {
    const i64 e = at.pixel * 128 + c;
    const auto m1 = load_floats<8>(a.a1 + e);
    return m1;
  }
};

struct Epilogue {
  static constexpr u32 kVec = 8;
  static constexpr bool kReduces = true;
  struct Channel {
    Floats<8> v4[2];
    Floats<8> v7[1];
    u64 s5;
    u64 s6;
  };
  WRNC_DEVICE Channel channel(const Args& a, i32 c) {
    Channel ch;
    ch.v4[0] = load_floats<8>(a.a4 + c);
    ch.v4[1] = load_floats<8>(a.a4 + 128 + c);
    ch.v7[0] = load_floats<8>(a.a7 + c);
    ch.s5 = scalar(a.a5);
    ch.s6 = scalar(a.a6);
    return ch;
  }
  struct Sums {
    Acc<GradStats, 8> q0;
  };
  WRNC_DEVICE void apply(const Args& a, const Channel& ch, Sums& s, const At& at, i32 c, const Floats<8>& y) {
    const i64 e = at.pixel * 128 + c;
    const auto m3 = load_floats<8>(a.a3 + e);
    const auto x0 = affine(m3, ch.v4[0], ch.v4[1]);
    const auto x1 = dropout_mask<8>(26214, a.stream0, ch.s5, ch.s6, e);
    const auto x2 = round_to<bf16>(y);
    const auto x3 = mask_scale(x2, x1, 26214);
    const auto x4 = relu_grad(x3, x0);
    const auto x5 = round_to<bf16>(x4);
    store_floats(a.a2 + e, x5);
    s.q0.add(x5, m3, ch.v7[0]);
  }
  template <class R>
  WRNC_DEVICE void partials(const Args& a, const Sums& s, R& r) {
    r.write(a.a8, s.q0);
  }
  template <class R>
  WRNC_DEVICE void finish(const Args& a, R& r) {
    const GradStats q0 = r.merge(a.a8, GradStats{});
    if (r.owns()) {
      const i32 c = r.channel();
      a.a9[c] = q0.sum;
      a.a9[128 + c] = q0.dot;
      const auto t0 = bn_grad_fold(q0, Stats{a.a7[c], a.a7[128 + c]}, a.a11[c], 1e-05f, a.count0);
      a.a12[c] = t0.c0;
      a.a12[128 + c] = t0.c1;
      a.a12[2 * 128 + c] = t0.c2;
      a.a13[c] = t0.dgamma;
      a.a14[c] = t0.dbeta;
    }
  }
  WRNC_DEVICE u32* counter(const Args& a) { return a.a10; }
};

static_assert(Tile::kThreads == 256 && ConvLayout<Shape, Unit, Tile, Epilogue>::kShared == 57168, "the plan's block");

WRNC_KERNEL(conv_dgrad_bf16_32x32x128_32x128_r3s1_73b77a75, 256, 2)(const Args args) {
  conv<Shape, Unit, Tile, Prologue, Epilogue>(args, args.a0);
}
