// map over [N,8,8,512]
//
//   %0 = affine a1, a2 : f32[N,8,8,512]
//   %1 = avgpool_grad a3 {height=8, width=8} : f32[N,8,8,512]
//   %2 = relu_grad %1, %0 : f32[N,8,8,512]
//   %3 = convert %2 {to=bf16} : bf16[N,8,8,512]
//   %4 = affine2 %3, a1, a4 : f32[N,8,8,512]
//   %5 = affine2 a5, a6, a7 : f32[N,8,8,512]
//   %6 = add %4, %5 : f32[N,8,8,512]
//   %7 = convert %6 {to=bf16} : bf16[N,8,8,512]
//   a0 = %7
#include "map.cuh"

struct Args {
  bf16* a0;
  const bf16* a1;
  const f32* a2;
  const bf16* a3;
  const f32* a4;
  const bf16* a5;
  const bf16* a6;
  const f32* a7;
  i32 n;
};

using Shape = MapShape<8, 8, 512>;  // rows, pixels, channels
using Unit = Box<2, 8, 8>;  // samples, rows, pixels
using Tile = MapTile<64, 256>;  // channels, threads

struct Epilogue {
  static constexpr u32 kVec = 8;
  static constexpr bool kReduces = false;
  struct Channel {
    Floats<8> v2[2];
    Floats<8> v4[3];
    Floats<8> v7[3];
  };
  WRNC_DEVICE Channel channel(const Args& a, i32 c) {
    Channel ch;
    ch.v2[0] = load_floats<8>(a.a2 + c);
    ch.v2[1] = load_floats<8>(a.a2 + 512 + c);
    ch.v4[0] = load_floats<8>(a.a4 + c);
    ch.v4[1] = load_floats<8>(a.a4 + 512 + c);
    ch.v4[2] = load_floats<8>(a.a4 + 1024 + c);
    ch.v7[0] = load_floats<8>(a.a7 + c);
    ch.v7[1] = load_floats<8>(a.a7 + 512 + c);
    ch.v7[2] = load_floats<8>(a.a7 + 1024 + c);
    return ch;
  }
  struct Sums {};
  WRNC_DEVICE void apply(const Args& a, const Channel& ch, Sums& s, const At& at, i32 c, const Floats<8>& y) {
    const i64 e = at.pixel * 512 + c;
    const auto m1 = load_floats<8>(a.a1 + e);
    const auto x0 = affine(m1, ch.v2[0], ch.v2[1]);
    const auto p3 = load_floats<8>(a.a3 + (i64)at.n * 512 + c);
    const auto x1 = avgpool_grad(p3, 64.0f);
    const auto x2 = relu_grad(x1, x0);
    const auto x3 = round_to<bf16>(x2);
    const auto x4 = affine2(x3, m1, ch.v4[0], ch.v4[1], ch.v4[2]);
    const auto m5 = load_floats<8>(a.a5 + e);
    const auto m6 = load_floats<8>(a.a6 + e);
    const auto x5 = affine2(m5, m6, ch.v7[0], ch.v7[1], ch.v7[2]);
    const auto x6 = add(x4, x5);
    const auto x7 = round_to<bf16>(x6);
    store_floats(a.a0 + e, x7);
  }
};

static_assert(Tile::kThreads == 256 && MapLayout<Shape, Tile, Epilogue>::kShared == 0, "the plan's block");

WRNC_KERNEL(map_8x8x512_cd3c44da, 256, 1)(const Args args) {
  map<Shape, Unit, Tile, Epilogue>(args);
}
