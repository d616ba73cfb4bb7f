// elements of several tensors at once
//
//   %0 = convert a1 {to=bf16} : bf16
//   a0 = %0
#include "flat.cuh"

struct Segment {
  bf16* a0;
  const f32* a1;
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
    const auto x0 = round_to<bf16>(m1);
    store_floats(a.a0 + e, x0);
  }
};

WRNC_KERNEL(flat_10adc20b, 256, 1)(const Args args) {
  flat<Body, FlatTile<256, 4>>(args.table, args.first_block, args.segments);
}
