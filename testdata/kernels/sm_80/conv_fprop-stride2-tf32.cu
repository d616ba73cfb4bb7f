// conv_fprop of a 3x3 filter, stride 2: [N,32,32,128] -> [N,16,16,256], tf32 on tensor cores
//
//   %0 = affine a1, a2 : f32[N,32,32,128]
//   %1 = relu %0 : f32[N,32,32,128]
//   %2 = convert %1 {to=tf32} : tf32[N,32,32,128]
//   %3 = conv2d %2, a0 {pad=1, stride=2} : f32[N,16,16,256]
//   %4 = bn_stats %3 : f32[2,256]
//   %5 = bn_fold %4, a7, a8 {eps=1e-05, count=count0} : f32[2,256]
//   %6 = bn_running a10, %4 {momentum=0.1, count=count1} : f32[2,256]
//   a3 = %3, a5 = %4, a9 = %5, a10 = %6
#include "conv.cuh"

struct Args {
  const f32* a0;
  const f32* a1;
  const f32* a2;
  f32* a3;
  f32* a4;
  f32* a5;
  u32* a6;
  const f32* a7;
  const f32* a8;
  f32* a9;
  f32* a10;
  i32 n;
  f32 count0;
  f32 count1;
};

using Shape = ConvShape<32, 32, 128, 16, 16, 256, 3, 1, 2, false>;  // H W C, P Q K, R pad stride, dgrad
using Unit = Box<1, 8, 8>;  // samples, rows, pixels
using Tile = ConvTile<Tf32, 64, 64, 16, 4, 2, 2>;  // math, M, N, K, warps along M, along N, stages

struct Prologue {
  static constexpr u32 kVec = 4;
  struct Channel {
    Floats<4> v2[2];
  };
  WRNC_DEVICE Channel channel(const Args& a, i32 c) {
    Channel ch;
    ch.v2[0] = load_floats<4>(a.a2 + c);
    ch.v2[1] = load_floats<4>(a.a2 + 128 + c);
    return ch;
  }
  WRNC_DEVICE Floats<4> apply(const Args& a, const Channel& ch, const At& at, i32 c) {
    const i64 e = at.pixel * 128 + c;
    const auto m1 = load_floats<4>(a.a1 + e);
    const auto x0 = affine(m1, ch.v2[0], ch.v2[1]);
    const auto x1 = relu(x0);
    const auto x2 = round_to<tf32>(x1);
    return x2;
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
    const i64 e = at.pixel * 256 + c;
    store_floats(a.a3 + e, y);
    s.q0.add(y);
  }
  template <class R>
  WRNC_DEVICE void partials(const Args& a, const Sums& s, R& r) {
    r.write(a.a4, s.q0);
  }
  template <class R>
  WRNC_DEVICE void finish(const Args& a, R& r) {
    const Stats q0 = r.merge(a.a4, Stats{});
    if (r.owns()) {
      const i32 c = r.channel();
      a.a5[c] = q0.mean;
      a.a5[256 + c] = q0.m2;
      const auto t0 = bn_fold(q0, a.a7[c], a.a8[c], 1e-05f, a.count0);
      a.a9[c] = t0.scale;
      a.a9[256 + c] = t0.shift;
      const auto t1 = bn_running(a.a10[c], a.a10[256 + c], q0, 0.1f, a.count1);
      a.a10[c] = t1.mean;
      a.a10[256 + c] = t1.var;
    }
  }
  WRNC_DEVICE u32* counter(const Args& a) { return a.a6; }
};

static_assert(Tile::kThreads == 256 && ConvLayout<Shape, Unit, Tile, Epilogue>::kShared == 80912, "the plan's block");

WRNC_KERNEL(conv_fprop_tf32_32x32x128_16x256_r3s2_1c96e5d1, 256, 2)(const Args args) {
  conv<Shape, Unit, Tile, Prologue, Epilogue>(args, args.a0);
}
