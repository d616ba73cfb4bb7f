// conv_dgrad of a 3x3 filter, stride 2: [N,16,16,256] -> [N,32,32,128], bf16 on tensor cores
//
//   %0 = affine a5, a6 : f32[N,32,32,128]
//   %1 = affine2 a1, a2, a3 : f32[N,16,16,256]
//   %2 = convert %1 {to=bf16} : bf16[N,16,16,256]
//   %3 = conv2d_dgrad %2, a0 {pad=1, stride=2, height=32, width=32} : f32[N,32,32,128]
//   %4 = add %3, a7 : f32[N,32,32,128]
//   %5 = convert %4 {to=bf16} : bf16[N,32,32,128]
//   %6 = relu_grad %5, %0 : f32[N,32,32,128]
//   %7 = convert %6 {to=bf16} : bf16[N,32,32,128]
//   %8 = bn_grad_stats %7, a5, a8 : f32[2,128]
//   %9, %10, %11 = bn_grad_fold %8, a8, a12 {eps=1e-05, count=count0} : f32[3,128], f32[128], f32[128]
//   a4 = %7, a13 = %9, a14 = %10, a15 = %11
#include "conv.cuh"

struct Args {
  const bf16* a0;
  const bf16* a1;
  const bf16* a2;
  const f32* a3;
  bf16* a4;
  const bf16* a5;
  const f32* a6;
  const bf16* a7;
  const f32* a8;
  f32* a9;
  f32* a10;
  u32* a11;
  const f32* a12;
  f32* a13;
  f32* a14;
  f32* a15;
  i32 n;
  f32 count0;
};

using Shape = ConvShape<32, 32, 128, 16, 16, 256, 3, 1, 2, true>;  // H W C, P Q K, R pad stride, dgrad
using Unit = Box<1, 8, 16>;  // samples, rows, pixels
using Tile = ConvTile<Bf16, 128, 128, 32, 4, 2, 2>;  // math, M, N, K, warps along M, along N, stages

struct Prologue {
  static constexpr u32 kVec = 8;
  struct Channel {
    Floats<8> v3[3];
  };
  WRNC_DEVICE Channel channel(const Args& a, i32 c) {
    Channel ch;
    ch.v3[0] = load_floats<8>(a.a3 + c);
    ch.v3[1] = load_floats<8>(a.a3 + 256 + c);
    ch.v3[2] = load_floats<8>(a.a3 + 512 + c);
    return ch;
  }
  WRNC_DEVICE Floats<8> apply(const Args& a, const Channel& ch, const At& at, i32 c) {
    const i64 e = at.pixel * 256 + c;
    const auto m1 = load_floats<8>(a.a1 + e);
    const auto m2 = load_floats<8>(a.a2 + e);
    const auto x0 = affine2(m1, m2, ch.v3[0], ch.v3[1], ch.v3[2]);
    const auto x1 = round_to<bf16>(x0);
    return x1;
  }
};

struct Epilogue {
  static constexpr u32 kVec = 8;
  static constexpr bool kReduces = true;
  struct Channel {
    Floats<8> v6[2];
    Floats<8> v8[1];
  };
  WRNC_DEVICE Channel channel(const Args& a, i32 c) {
    Channel ch;
    ch.v6[0] = load_floats<8>(a.a6 + c);
    ch.v6[1] = load_floats<8>(a.a6 + 128 + c);
    ch.v8[0] = load_floats<8>(a.a8 + c);
    return ch;
  }
  struct Sums {
    Acc<GradStats, 8> q0;
  };
  WRNC_DEVICE void apply(const Args& a, const Channel& ch, Sums& s, const At& at, i32 c, const Floats<8>& y) {
    const i64 e = at.pixel * 128 + c;
    const auto m5 = load_floats<8>(a.a5 + e);
    const auto x0 = affine(m5, ch.v6[0], ch.v6[1]);
    const auto m7 = load_floats<8>(a.a7 + e);
    const auto x1 = add(y, m7);
    const auto x2 = round_to<bf16>(x1);
    const auto x3 = relu_grad(x2, x0);
    const auto x4 = round_to<bf16>(x3);
    store_floats(a.a4 + e, x4);
    s.q0.add(x4, m5, ch.v8[0]);
  }
  template <class R>
  WRNC_DEVICE void partials(const Args& a, const Sums& s, R& r) {
    r.write(a.a9, s.q0);
  }
  template <class R>
  WRNC_DEVICE void finish(const Args& a, R& r) {
    const GradStats q0 = r.merge(a.a9, GradStats{});
    if (r.owns()) {
      const i32 c = r.channel();
      a.a10[c] = q0.sum;
      a.a10[128 + c] = q0.dot;
      const auto t0 = bn_grad_fold(q0, Stats{a.a8[c], a.a8[128 + c]}, a.a12[c], 1e-05f, a.count0);
      a.a13[c] = t0.c0;
      a.a13[128 + c] = t0.c1;
      a.a13[2 * 128 + c] = t0.c2;
      a.a14[c] = t0.dgamma;
      a.a15[c] = t0.dbeta;
    }
  }
  WRNC_DEVICE u32* counter(const Args& a) { return a.a11; }
};

static_assert(Tile::kThreads == 256 && ConvLayout<Shape, Unit, Tile, Epilogue>::kShared == 77328, "the plan's block");

WRNC_KERNEL(conv_dgrad_bf16_32x32x128_16x256_r3s2_c8be0236, 256, 1)(const Args args) {
  conv<Shape, Unit, Tile, Prologue, Epilogue>(args, args.a0);
}
