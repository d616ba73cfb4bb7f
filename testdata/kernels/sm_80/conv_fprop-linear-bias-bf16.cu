// conv_fprop of a 1x1 filter, stride 1: [N,1,1,512] -> [N,1,1,10], bf16 on tensor cores
//
//   %0 = conv2d a1, a0 {pad=0, stride=1} : f32[N,1,1,10]
//   %1 = add_channel %0, a3 : f32[N,1,1,10]
//   %2 = convert %1 {to=bf16} : bf16[N,1,1,10]
//   a2 = %2
#include "conv.cuh"

struct Args {
  const bf16* a0;
  const bf16* a1;
  bf16* a2;
  const f32* a3;
  i32 n;
};

using Shape = ConvShape<1, 1, 512, 1, 1, 10, 1, 0, 1, false>;  // H W C, P Q K, R pad stride, dgrad
using Unit = Box<64, 1, 1>;  // samples, rows, pixels
using Tile = ConvTile<Bf16, 64, 16, 64, 4, 1, 2>;  // math, M, N, K, warps along M, along N, stages

struct Prologue {
  static constexpr u32 kVec = 8;
  struct Channel {};
  WRNC_DEVICE Channel channel(const Args&, i32) { return {}; }
  WRNC_DEVICE Floats<8> apply(const Args& a, const Channel& ch, const At& at, i32 c) {
    const i64 e = at.pixel * 512 + c;
    const auto m1 = load_floats<8>(a.a1 + e);
    return m1;
  }
};

struct Epilogue {
  static constexpr u32 kVec = 2;
  static constexpr bool kReduces = false;
  struct Channel {
    Floats<2> v3[1];
  };
  WRNC_DEVICE Channel channel(const Args& a, i32 c) {
    Channel ch;
    ch.v3[0] = load_floats<2>(a.a3 + c);
    return ch;
  }
  struct Sums {};
  WRNC_DEVICE void apply(const Args& a, const Channel& ch, Sums& s, const At& at, i32 c, const Floats<2>& y) {
    const i64 e = at.pixel * 10 + c;
    const auto x0 = add_channel(y, ch.v3[0]);
    const auto x1 = round_to<bf16>(x0);
    store_floats(a.a2 + e, x1);
  }
};

static_assert(Tile::kThreads == 128 && ConvLayout<Shape, Unit, Tile, Epilogue>::kShared == 23296, "the plan's block");

WRNC_KERNEL(conv_fprop_bf16_1x1x512_1x10_r1s1_339f41e2, 128, 6)(const Args args) {
  conv<Shape, Unit, Tile, Prologue, Epilogue>(args, args.a0);
}
