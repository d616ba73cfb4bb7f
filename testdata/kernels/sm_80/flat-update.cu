// elements of several tensors at once
//
//   %0 = axpy a1, a2 {alpha=0.0005} : f32
//   %1 = axpy a0, %0 {alpha=0.9} : f32
//   %2 = axpy %1, %0 {alpha=0.9} : f32
//   %3 = descend a1, %2, a3 : f32
//   a0 = %1, a1 = %3
#include "flat.cuh"

struct Segment {
  f32* a0;
  f32* a1;
  const f32* a2;
  const f32* a3;
  i64 elems;
};
struct Args {
  const Segment* table;
  const u32* first_block;
  u32 segments;
};

struct Body {
  template <u32 V>
  WRNC_DEVICE void apply(const Segment& a, i64 e) {
    const auto m1 = load_floats<V>(a.a1 + e);
    const auto m2 = load_floats<V>(a.a2 + e);
    const auto x0 = axpy(0.0005f, m1, m2);
    const auto m0 = load_floats<V>(a.a0 + e);
    const auto x1 = axpy(0.9f, m0, x0);
    store_floats(a.a0 + e, x1);
    const auto x2 = axpy(0.9f, x1, x0);
    const auto x3 = descend(m1, x2, scalar(a.a3));
    store_floats(a.a1 + e, x3);
  }
};

WRNC_KERNEL(flat_9ba309e9, 256, 1)(const Args args) {
  flat<Body, FlatTile<256, 4>>(args.table, args.first_block, args.segments);
}
