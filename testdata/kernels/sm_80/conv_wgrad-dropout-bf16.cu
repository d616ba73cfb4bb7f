// conv_wgrad of a 3x3 filter, stride 1: [N,32,32,128], [N,32,32,128] -> [128,3,3,128], bf16 on tensor cores
//
//   %0 = affine a3, a4 : f32[N,32,32,128]
//   %1 = relu %0 : f32[N,32,32,128]
//   %2 = dropout_mask a5, a6 {p=0.4, stream=stream0} : u1[N,32,32,128]
//   %3 = mask_scale %1, %2 {p=0.4} : f32[N,32,32,128]
//   %4 = convert %3 {to=bf16} : bf16[N,32,32,128]
//   %5 = conv2d_wgrad a2, %4 {pad=1, stride=1, kernel=3} : f32[128,3,3,128]
//   a7 = %5
#include "wgrad.cuh"

struct Args {
  f32* a0;
  u32* a1;
  const bf16* a2;
  const bf16* a3;
  const f32* a4;
  const u64* a5;
  const u64* a6;
  f32* a7;
  i32 n;
  i32 span;
  u32 stream0;
};

using Shape = ConvShape<32, 32, 128, 32, 32, 128, 3, 1, 1, false>;  // H W C, P Q K, R pad stride, dgrad
using Unit = Box<1, 8, 16>;  // samples, rows, pixels
using Tile = WgradTile<Bf16, 64, 32, 2, 2, 3>;  // math, M, N, warps along M, along N, groups of taps

struct Gradient {
  static constexpr u32 kVec = 8;
  struct Channel {};
  WRNC_DEVICE Channel channel(const Args&, i32) { return {}; }
  WRNC_DEVICE Floats<8> apply(const Args& a, const Channel& ch, const At& at, i32 c) {
    const i64 e = at.pixel * 128 + c;
    const auto m2 = load_floats<8>(a.a2 + e);
    return m2;
  }
};

struct Picture {
  static constexpr u32 kVec = 8;
  struct Channel {
    Floats<8> v4[2];
    u64 s5;
    u64 s6;
  };
  WRNC_DEVICE Channel channel(const Args& a, i32 c) {
    Channel ch;
    ch.v4[0] = load_floats<8>(a.a4 + c);
    ch.v4[1] = load_floats<8>(a.a4 + 128 + c);
    ch.s5 = scalar(a.a5);
    ch.s6 = scalar(a.a6);
    return ch;
  }
  WRNC_DEVICE Floats<8> apply(const Args& a, const Channel& ch, const At& at, i32 c) {
    const i64 e = at.pixel * 128 + c;
    const auto m3 = load_floats<8>(a.a3 + e);
    const auto x0 = affine(m3, ch.v4[0], ch.v4[1]);
    const auto x1 = relu(x0);
    const auto x2 = dropout_mask<8>(26214, a.stream0, ch.s5, ch.s6, e);
    const auto x3 = mask_scale(x1, x2, 26214);
    const auto x4 = round_to<bf16>(x3);
    return x4;
  }
};

struct Epilogue {
  static constexpr u32 kVec = 4;
  static constexpr bool kReduces = false;
  struct Channel {};
  WRNC_DEVICE Channel channel(const Args&, i32) { return {}; }
  struct Sums {};
  WRNC_DEVICE void apply(const Args& a, const Channel& ch, Sums& s, const At& at, i32 c, const Floats<4>& y) {
    const i64 e = at.pixel * 128 + c;
    store_floats(a.a7 + e, y);
  }
};

static_assert(Tile::kThreads == 384 && WgradLayout<Shape, Unit, Tile>::kShared == 68128, "the plan's block");

WRNC_KERNEL(conv_wgrad_bf16_32x32x128_32x128_r3s1_a434877f, 384, 1)(const Args args) {
  wgrad<Shape, Unit, Tile, Gradient, Picture, Epilogue, true>(args, args.a0, args.a1, args.span);
}
