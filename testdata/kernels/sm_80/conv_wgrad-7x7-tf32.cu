// conv_wgrad of a 7x7 filter, stride 2: [N,112,112,64], [N,224,224,3] -> [64,7,7,3], tf32 on tensor cores
//
//   %0 = convert a6 {to=tf32} : tf32[N,224,224,3]
//   %1 = affine a2, a3 : f32[N,112,112,64]
//   %2 = relu_grad a4, %1 : f32[N,112,112,64]
//   %3 = affine2 %2, a2, a5 : f32[N,112,112,64]
//   %4 = convert %3 {to=tf32} : tf32[N,112,112,64]
//   %5 = conv2d_wgrad %4, %0 {pad=3, stride=2, kernel=7} : f32[64,7,7,3]
//   a7 = %5
#include "wgrad.cuh"

struct Args {
  f32* a0;
  u32* a1;
  const f32* a2;
  const f32* a3;
  const f32* a4;
  const f32* a5;
  const f32* a6;
  f32* a7;
  i32 n;
  i32 span;
};

using Shape = ConvShape<224, 224, 3, 112, 112, 64, 7, 3, 2, false>;  // H W C, P Q K, R pad stride, dgrad
using Unit = Box<1, 8, 16>;  // samples, rows, pixels
using Tile = WgradTile<Tf32, 32, 8, 1, 1, 7>;  // math, M, N, warps along M, along N, groups of taps

struct Gradient {
  static constexpr u32 kVec = 4;
  struct Channel {
    Floats<4> v3[2];
    Floats<4> v5[3];
  };
  WRNC_DEVICE Channel channel(const Args& a, i32 c) {
    Channel ch;
    ch.v3[0] = load_floats<4>(a.a3 + c);
    ch.v3[1] = load_floats<4>(a.a3 + 64 + c);
    ch.v5[0] = load_floats<4>(a.a5 + c);
    ch.v5[1] = load_floats<4>(a.a5 + 64 + c);
    ch.v5[2] = load_floats<4>(a.a5 + 128 + c);
    return ch;
  }
  WRNC_DEVICE Floats<4> apply(const Args& a, const Channel& ch, const At& at, i32 c) {
    const i64 e = at.pixel * 64 + c;
    const auto m2 = load_floats<4>(a.a2 + e);
    const auto x0 = affine(m2, ch.v3[0], ch.v3[1]);
    const auto m4 = load_floats<4>(a.a4 + e);
    const auto x1 = relu_grad(m4, x0);
    const auto x2 = affine2(x1, m2, ch.v5[0], ch.v5[1], ch.v5[2]);
    const auto x3 = round_to<tf32>(x2);
    return x3;
  }
};

struct Picture {
  static constexpr u32 kVec = 1;
  struct Channel {};
  WRNC_DEVICE Channel channel(const Args&, i32) { return {}; }
  WRNC_DEVICE Floats<1> apply(const Args& a, const Channel& ch, const At& at, i32 c) {
    const i64 e = at.pixel * 3 + c;
    const auto m6 = load_floats<1>(a.a6 + e);
    const auto x0 = round_to<tf32>(m6);
    return x0;
  }
};

struct Epilogue {
  static constexpr u32 kVec = 1;
  static constexpr bool kReduces = false;
  struct Channel {};
  WRNC_DEVICE Channel channel(const Args&, i32) { return {}; }
  struct Sums {};
  WRNC_DEVICE void apply(const Args& a, const Channel& ch, Sums& s, const At& at, i32 c, const Floats<1>& y) {
    const i64 e = at.pixel * 3 + c;
    store_floats(a.a7 + e, y);
  }
};

static_assert(Tile::kThreads == 224 && WgradLayout<Shape, Unit, Tile>::kShared == 99440, "the plan's block");

WRNC_KERNEL(conv_wgrad_tf32_224x224x3_112x64_r7s2_19b48c94, 224, 1)(const Args args) {
  wgrad<Shape, Unit, Tile, Gradient, Picture, Epilogue, true>(args, args.a0, args.a1, args.span);
}
