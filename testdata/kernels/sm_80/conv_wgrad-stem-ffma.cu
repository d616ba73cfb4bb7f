// conv_wgrad of a 3x3 filter, stride 1: [N,32,32,16], [N,32,32,3] -> [16,3,3,3], f32 by fused multiply-adds
//
//   %0 = affine2 a2, a3, a4 : f32[N,32,32,16]
//   %1 = conv2d_wgrad %0, a5 {pad=1, stride=1, kernel=3} : f32[16,3,3,3]
//   a6 = %1
#include "wgrad.cuh"

struct Args {
  f32* a0;
  u32* a1;
  const f32* a2;
  const f32* a3;
  const f32* a4;
  const f32* a5;
  f32* a6;
  i32 n;
  i32 span;
};

using Shape = ConvShape<32, 32, 3, 32, 32, 16, 3, 1, 1, false>;  // H W C, P Q K, R pad stride, dgrad
using Unit = Box<1, 8, 16>;  // samples, rows, pixels
using Tile = WgradTile<Ffma, 16, 8, 1, 1, 3>;  // math, M, N, warps along M, along N, groups of taps

struct Gradient {
  static constexpr u32 kVec = 4;
  struct Channel {
    Floats<4> v4[3];
  };
  WRNC_DEVICE Channel channel(const Args& a, i32 c) {
    Channel ch;
    ch.v4[0] = load_floats<4>(a.a4 + c);
    ch.v4[1] = load_floats<4>(a.a4 + 16 + c);
    ch.v4[2] = load_floats<4>(a.a4 + 32 + c);
    return ch;
  }
  WRNC_DEVICE Floats<4> apply(const Args& a, const Channel& ch, const At& at, i32 c) {
    const i64 e = at.pixel * 16 + c;
    const auto m2 = load_floats<4>(a.a2 + e);
    const auto m3 = load_floats<4>(a.a3 + e);
    const auto x0 = affine2(m2, m3, ch.v4[0], ch.v4[1], ch.v4[2]);
    return x0;
  }
};

struct Picture {
  static constexpr u32 kVec = 1;
  struct Channel {};
  WRNC_DEVICE Channel channel(const Args&, i32) { return {}; }
  WRNC_DEVICE Floats<1> apply(const Args& a, const Channel& ch, const At& at, i32 c) {
    const i64 e = at.pixel * 3 + c;
    const auto m5 = load_floats<1>(a.a5 + e);
    return m5;
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
    store_floats(a.a6 + e, y);
  }
};

static_assert(Tile::kThreads == 96 && WgradLayout<Shape, Unit, Tile>::kShared == 38560, "the plan's block");

WRNC_KERNEL(conv_wgrad_ffma_32x32x3_32x16_r3s1_cf9decbb, 96, 5)(const Args args) {
  wgrad<Shape, Unit, Tile, Gradient, Picture, Epilogue, true>(args, args.a0, args.a1, args.span);
}
