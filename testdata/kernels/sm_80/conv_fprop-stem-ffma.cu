// conv_fprop of a 3x3 filter, stride 1: [N,32,32,3] -> [N,32,32,16], f32 by fused multiply-adds
//
//   %0 = conv2d a1, a0 {pad=1, stride=1} : f32[N,32,32,16]
//   %1 = bn_stats %0 : f32[2,16]
//   %2 = bn_fold %1, a6, a7 {eps=1e-05, count=count0} : f32[2,16]
//   %3 = bn_running a9, %1 {momentum=0.1, count=count1} : f32[2,16]
//   a2 = %0, a4 = %1, a8 = %2, a9 = %3
#include "conv.cuh"

struct Args {
  const f32* a0;
  const f32* a1;
  f32* a2;
  f32* a3;
  f32* a4;
  u32* a5;
  const f32* a6;
  const f32* a7;
  f32* a8;
  f32* a9;
  i32 n;
  f32 count0;
  f32 count1;
};

using Shape = ConvShape<32, 32, 3, 32, 32, 16, 3, 1, 1, false>;  // H W C, P Q K, R pad stride, dgrad
using Unit = Box<1, 8, 16>;  // samples, rows, pixels
using Tile = ConvTile<Ffma, 128, 16, 16, 4, 2, 2>;  // math, M, N, K, warps along M, along N, stages

struct Prologue {
  static constexpr u32 kVec = 1;
  struct Channel {};
  WRNC_DEVICE Channel channel(const Args&, i32) { return {}; }
  WRNC_DEVICE Floats<1> apply(const Args& a, const Channel& ch, const At& at, i32 c) {
    const i64 e = at.pixel * 3 + c;
    const auto m1 = load_floats<1>(a.a1 + e);
    return m1;
  }
};

struct Epilogue {
  static constexpr u32 kVec = 4;
  static constexpr bool kReduces = true;
  struct Channel {};
  WRNC_DEVICE Channel channel(const Args&, i32) { return {}; }
  struct Sums {
    Acc<Stats, 4> q0;
  };
  WRNC_DEVICE void apply(const Args& a, const Channel& ch, Sums& s, const At& at, i32 c, const Floats<4>& y) {
    const i64 e = at.pixel * 16 + c;
    store_floats(a.a2 + e, y);
    s.q0.add(y);
  }
  template <class R>
  WRNC_DEVICE void partials(const Args& a, const Sums& s, R& r) {
    r.write(a.a3, s.q0);
  }
  template <class R>
  WRNC_DEVICE void finish(const Args& a, R& r) {
    const Stats q0 = r.merge(a.a3, Stats{});
    if (r.owns()) {
      const i32 c = r.channel();
      a.a4[c] = q0.mean;
      a.a4[16 + c] = q0.m2;
      const auto t0 = bn_fold(q0, a.a6[c], a.a7[c], 1e-05f, a.count0);
      a.a8[c] = t0.scale;
      a.a8[16 + c] = t0.shift;
      const auto t1 = bn_running(a.a9[c], a.a9[16 + c], q0, 0.1f, a.count1);
      a.a9[c] = t1.mean;
      a.a9[16 + c] = t1.var;
    }
  }
  WRNC_DEVICE u32* counter(const Args& a) { return a.a5; }
};

static_assert(Tile::kThreads == 256 && ConvLayout<Shape, Unit, Tile, Epilogue>::kShared == 22800, "the plan's block");

WRNC_KERNEL(conv_fprop_ffma_32x32x3_32x16_r3s1_18cd1d7e, 256, 2)(const Args args) {
  conv<Shape, Unit, Tile, Prologue, Epilogue>(args, args.a0);
}
