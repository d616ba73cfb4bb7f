// conv_dgrad of a 1x1 filter, stride 2: [N,16,16,256] -> [N,32,32,128], bf16 on tensor cores
//
//   %0 = conv2d_dgrad a1, a0 {pad=0, stride=2, height=32, width=32} : f32[N,32,32,128]
//   %1 = convert %0 {to=bf16} : bf16[N,32,32,128]
//   a2 = %1
#include "conv.cuh"

struct Args {
  const bf16* a0;
  const bf16* a1;
  bf16* a2;
  i32 n;
};

using Shape = ConvShape<32, 32, 128, 16, 16, 256, 1, 0, 2, true>;  // H W C, P Q K, R pad stride, dgrad
using Unit = Box<1, 8, 8>;  // samples, rows, pixels
using Tile = ConvTile<Bf16, 64, 128, 64, 4, 2, 2>;  // math, M, N, K, warps along M, along N, stages

struct Prologue {
  static constexpr u32 kVec = 8;
  struct Channel {};
  WRNC_DEVICE Channel channel(const Args&, i32) { return {}; }
  WRNC_DEVICE Floats<8> apply(const Args& a, const Channel& ch, const At& at, i32 c) {
    const i64 e = at.pixel * 256 + c;
    const auto m1 = load_floats<8>(a.a1 + e);
    return m1;
  }
};

struct Epilogue {
  static constexpr u32 kVec = 8;
  static constexpr bool kReduces = false;
  struct Channel {};
  WRNC_DEVICE Channel channel(const Args&, i32) { return {}; }
  struct Sums {};
  WRNC_DEVICE void apply(const Args& a, const Channel& ch, Sums& s, const At& at, i32 c, const Floats<8>& y) {
    const i64 e = at.pixel * 128 + c;
    const auto x0 = round_to<bf16>(y);
    store_floats(a.a2 + e, x0);
  }
};

static_assert(Tile::kThreads == 256 && ConvLayout<Shape, Unit, Tile, Epilogue>::kShared == 53504, "the plan's block");

WRNC_KERNEL(conv_dgrad_bf16_32x32x128_16x256_r1s2_ddf0a9d1, 256, 2)(const Args args) {
  conv<Shape, Unit, Tile, Prologue, Epilogue>(args, args.a0);
}
