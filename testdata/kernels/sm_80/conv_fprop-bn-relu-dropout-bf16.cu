// conv_fprop of a 3x3 filter, stride 1: [N,32,32,128] -> [N,32,32,128], bf16 on tensor cores
//
//   %0 = affine a1, a2 : f32[N,32,32,128]
//   %1 = relu %0 : f32[N,32,32,128]
//   %2 = dropout_mask a3, a4 {p=0.4, stream=stream0} : u1[N,32,32,128]
//   %3 = mask_scale %1, %2 {p=0.4} : f32[N,32,32,128]
//   %4 = convert %3 {to=bf16} : bf16[N,32,32,128]
//   %5 = conv2d %4, a0 {pad=1, stride=1} : f32[N,32,32,128]
//   %6 = add %5, a6 : f32[N,32,32,128]
//   %7 = convert %6 {to=bf16} : bf16[N,32,32,128]
//   %8 = bn_stats %7 : f32[2,128]
//   %9 = bn_fold %8, a10, a11 {eps=1e-05, count=count0} : f32[2,128]
//   %10 = bn_running a13, %8 {momentum=0.1, count=count1} : f32[2,128]
//   a5 = %7, a8 = %8, a12 = %9, a13 = %10
#include "conv.cuh"

struct Args {
  const bf16* a0;
  const bf16* a1;
  const f32* a2;
  const u64* a3;
  const u64* a4;
  bf16* a5;
  const bf16* a6;
  f32* a7;
  f32* a8;
  u32* a9;
  const f32* a10;
  const f32* a11;
  f32* a12;
  f32* a13;
  i32 n;
  u32 stream0;
  f32 count0;
  f32 count1;
};

using Shape = ConvShape<32, 32, 128, 32, 32, 128, 3, 1, 1, false>;  // H W C, P Q K, R pad stride, dgrad
using Unit = Box<1, 8, 16>;  // samples, rows, pixels
using Tile = ConvTile<Bf16, 128, 64, 32, 4, 2, 2>;  // math, M, N, K, warps along M, along N, stages

struct Prologue {
  static constexpr u32 kVec = 8;
  struct Channel {
    Floats<8> v2[2];
    u64 s3;
    u64 s4;
  };
  WRNC_DEVICE Channel channel(const Args& a, i32 c) {
    Channel ch;
    ch.v2[0] = load_floats<8>(a.a2 + c);
    ch.v2[1] = load_floats<8>(a.a2 + 128 + c);
    ch.s3 = scalar(a.a3);
    ch.s4 = scalar(a.a4);
    return ch;
  }
  WRNC_DEVICE Floats<8> apply(const Args& a, const Channel& ch, const At& at, i32 c) {
    const i64 e = at.pixel * 128 + c;
    const auto m1 = load_floats<8>(a.a1 + e);
    const auto x0 = affine(m1, ch.v2[0], ch.v2[1]);
    const auto x1 = relu(x0);
    const auto x2 = dropout_mask<8>(26214, a.stream0, ch.s3, ch.s4, e);
    const auto x3 = mask_scale(x1, x2, 26214);
    const auto x4 = round_to<bf16>(x3);
    return x4;
  }
};

struct Epilogue {
  static constexpr u32 kVec = 8;
  static constexpr bool kReduces = true;
  struct Channel {};
  WRNC_DEVICE Channel channel(const Args&, i32) { return {}; }
  struct Sums {
    Acc<Stats, 8> q0;
  };
  WRNC_DEVICE void apply(const Args& a, const Channel& ch, Sums& s, const At& at, i32 c, const Floats<8>& y) {
    const i64 e = at.pixel * 128 + c;
    const auto m6 = load_floats<8>(a.a6 + e);
    const auto x0 = add(y, m6);
    const auto x1 = round_to<bf16>(x0);
    store_floats(a.a5 + e, x1);
    s.q0.add(x1);
  }
  template <class R>
  WRNC_DEVICE void partials(const Args& a, const Sums& s, R& r) {
    r.write(a.a7, s.q0);
  }
  template <class R>
  WRNC_DEVICE void finish(const Args& a, R& r) {
    const Stats q0 = r.merge(a.a7, Stats{});
    if (r.owns()) {
      const i32 c = r.channel();
      a.a8[c] = q0.mean;
      a.a8[128 + c] = q0.m2;
      const auto t0 = bn_fold(q0, a.a10[c], a.a11[c], 1e-05f, a.count0);
      a.a12[c] = t0.scale;
      a.a12[128 + c] = t0.shift;
      const auto t1 = bn_running(a.a13[c], a.a13[128 + c], q0, 0.1f, a.count1);
      a.a13[c] = t1.mean;
      a.a13[128 + c] = t1.var;
    }
  }
  WRNC_DEVICE u32* counter(const Args& a) { return a.a9; }
};

static_assert(Tile::kThreads == 256 && ConvLayout<Shape, Unit, Tile, Epilogue>::kShared == 60240, "the plan's block");

WRNC_KERNEL(conv_fprop_bf16_32x32x128_32x128_r3s1_4e045a29, 256, 2)(const Args args) {
  conv<Shape, Unit, Tile, Prologue, Epilogue>(args, args.a0);
}
