// map over [N,1,1,10]
//
//   %0 = channel_sum a0 : f32[10]
//   a2 = %0
#include "map.cuh"

struct Args {
  const f32* a0;
  f32* a1;
  f32* a2;
  u32* a3;
  i32 n;
};

using Shape = MapShape<1, 1, 10>;  // rows, pixels, channels
using Unit = Box<128, 1, 1>;  // samples, rows, pixels
using Tile = MapTile<16, 256>;  // channels, threads

struct Epilogue {
  static constexpr u32 kVec = 2;
  static constexpr bool kReduces = true;
  struct Channel {};
  WRNC_DEVICE Channel channel(const Args&, i32) { return {}; }
  struct Sums {
    Acc<ChannelSum, 2> q0;
  };
  WRNC_DEVICE void apply(const Args& a, const Channel& ch, Sums& s, const At& at, i32 c, const Floats<2>& y) {
    const i64 e = at.pixel * 10 + c;
    const auto m0 = load_floats<2>(a.a0 + e);
    s.q0.add(m0);
  }
  template <class R>
  WRNC_DEVICE void partials(const Args& a, const Sums& s, R& r) {
    r.write(a.a1, s.q0);
  }
  template <class R>
  WRNC_DEVICE void finish(const Args& a, R& r) {
    const ChannelSum q0 = r.merge(a.a1, ChannelSum{});
    if (r.owns()) {
      const i32 c = r.channel();
      a.a2[c] = q0.sum;
    }
  }
  WRNC_DEVICE u32* counter(const Args& a) { return a.a3; }
};

static_assert(Tile::kThreads == 256 && MapLayout<Shape, Tile, Epilogue>::kShared == 3072, "the plan's block");

WRNC_KERNEL(map_1x1x10_e1770a87, 256, 1)(const Args args) {
  map<Shape, Unit, Tile, Epilogue>(args);
}
