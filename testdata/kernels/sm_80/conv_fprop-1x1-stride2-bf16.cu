// conv_fprop of a 1x1 filter, stride 2: [N,32,32,128] -> [N,16,16,256], bf16 on tensor cores
//
//   %0 = affine a1, a2 : f32[N,32,32,128]
//   %1 = relu %0 : f32[N,32,32,128]
//   %2 = convert %1 {to=bf16} : bf16[N,32,32,128]
//   %3 = conv2d %2, a0 {pad=0, stride=2} : f32[N,16,16,256]
//   %4 = convert %3 {to=bf16} : bf16[N,16,16,256]
//   a3 = %4
#include "conv.cuh"

struct Args {
  const bf16* a0;
  const bf16* a1;
  const f32* a2;
  bf16* a3;
  i32 n;
};

using Shape = ConvShape<32, 32, 128, 16, 16, 256, 1, 0, 2, false>;  // H W C, P Q K, R pad stride, dgrad
using Unit = Box<1, 8, 16>;  // samples, rows, pixels
using Tile = ConvTile<Bf16, 128, 128, 64, 4, 2, 2>;  // math, M, N, K, warps along M, along N, stages

struct Prologue {
  static constexpr u32 kVec = 8;
  struct Channel {
    Floats<8> v2[2];
  };
  WRNC_DEVICE Channel channel(const Args& a, i32 c) {
    Channel ch;
    ch.v2[0] = load_floats<8>(a.a2 + c);
    ch.v2[1] = load_floats<8>(a.a2 + 128 + c);
    return ch;
  }
  WRNC_DEVICE Floats<8> apply(const Args& a, const Channel& ch, const At& at, i32 c) {
    const i64 e = at.pixel * 128 + c;
    const auto m1 = load_floats<8>(a.a1 + e);
    const auto x0 = affine(m1, ch.v2[0], ch.v2[1]);
    const auto x1 = relu(x0);
    const auto x2 = round_to<bf16>(x1);
    return x2;
  }
};

struct Epilogue {
  static constexpr u32 kVec = 8;
  static constexpr bool kReduces = false;
  struct Channel {};
  WRNC_DEVICE Channel channel(const Args&, i32) { return {}; }
  struct Sums {};
  WRNC_DEVICE void apply(const Args& a, const Channel& ch, Sums& s, const At& at, i32 c, const Floats<8>& y) {
    const i64 e = at.pixel * 256 + c;
    const auto x0 = round_to<bf16>(y);
    store_floats(a.a3 + e, x0);
  }
};

static_assert(Tile::kThreads == 256 && ConvLayout<Shape, Unit, Tile, Epilogue>::kShared == 74240, "the plan's block");

WRNC_KERNEL(conv_fprop_bf16_32x32x128_16x256_r1s2_d23df2f6, 256, 1)(const Args args) {
  conv<Shape, Unit, Tile, Prologue, Epilogue>(args, args.a0);
}
