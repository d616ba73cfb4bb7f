// avgpool: [N,8,8,512] -> [N,1,1,512]
//
//   %0 = affine a0, a1 : f32[N,8,8,512]
//   %1 = relu %0 : f32[N,8,8,512]
//   %2 = convert %1 {to=bf16} : bf16[N,8,8,512]
//   %3 = avgpool %2 : f32[N,1,1,512]
//   %4 = convert %3 {to=bf16} : bf16[N,1,1,512]
//   a2 = %4
#include "pool.cuh"

struct Args {
  const bf16* a0;
  const f32* a1;
  bf16* a2;
  i32 n;
};

using Shape = MapShape<8, 8, 512>;  // rows, pixels, channels
using Tile = MapTile<64, 128>;  // channels, threads

struct Prologue {
  static constexpr u32 kVec = 8;
  struct Channel {
    Floats<8> v1[2];
  };
  WRNC_DEVICE Channel channel(const Args& a, i32 c) {
    Channel ch;
    ch.v1[0] = load_floats<8>(a.a1 + c);
    ch.v1[1] = load_floats<8>(a.a1 + 512 + c);
    return ch;
  }
  WRNC_DEVICE Floats<8> apply(const Args& a, const Channel& ch, const At& at, i32 c) {
    const i64 e = at.pixel * 512 + c;
    const auto m0 = load_floats<8>(a.a0 + e);
    const auto x0 = affine(m0, ch.v1[0], ch.v1[1]);
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
    const i64 e = at.pixel * 512 + c;
    const auto x0 = round_to<bf16>(y);
    store_floats(a.a2 + e, x0);
  }
};

static_assert(Tile::kThreads == 128 && PoolLayout<Tile, Prologue>::kShared == 4096, "the plan's block");

WRNC_KERNEL(avgpool_8x8x512_b01408bd, 128, 1)(const Args args) {
  avgpool<Shape, Tile, Prologue, Epilogue>(args);
}
