// augment takes a batch out of a data set in the device's memory: the pictures of
// the given numbers, each changed as its number, the seed and the epoch say. What
// codegen prints:
//
//     // augment: [32,32,3], crops shifted by up to 4 in the mirrored picture, mirror images
//     #include "augment.cuh"
//
//     struct Args {
//       const u8* a0;   // the data set
//       const i32* a1;  // numbers of the batch's pictures
//       const u64* a2;  // seed
//       const u64* a3;  // epoch
//       const f32* a4;  // values of bytes
//       f32* a5;        // the batch
//       i32 n;
//       i32 pictures;   // size of the data set
//     };
//     using Shape = AugmentShape<32, 32, 3, 4, true, true>;  // H W C, pad, flip, reflect (else zeros)
//
//     WRNC_KERNEL(augment_..., 256, 2)(const Args args) {
//       augment<Shape, 256>(args.a0, args.a1, args.a2, args.a3, args.a4, args.a5, args.n, args.pictures);
//     }
//
// A thread computes one pixel. The result is, to the bit, what runtime/data's
// Loader makes: what is drawn are the same words of the same stream, and the value
// of each byte comes from a table, values[256*channel + byte].
//
// A number that is no picture yields a picture of NaN; nothing is read for it.
#pragma once

#include "ops.cuh"

template <u32 h, u32 w, u32 c, u32 pad, bool flip, bool reflect>
struct AugmentShape {
  static constexpr u32 kH = h, kW = w, kC = c, kPad = pad;
  static constexpr bool kFlip = flip, kReflect = reflect;
  static_assert(pad < h && pad < w, "a mirror has no more pixels than the picture");
};

// Change is what happens to a picture in an epoch: a mirror image or not, then a
// crop whose pixel (y, x) is (y+dy, x+dx).
struct Change {
  bool flip;
  i32 dy, dx;
};

template <class Shape>
WRNC_DEVICE Change change_of(const u64* seed, const u64* epoch, u32 picture) {
  if constexpr (Shape::kFlip || Shape::kPad > 0) {
    constexpr u32 stream = 0xb8e63d78;  // FNV-1a of "augment"
    constexpr u32 shifts = 2 * Shape::kPad + 1;
    const Words w = philox(*seed, Words{picture, 0, u32(*epoch), stream});
    return Change{Shape::kFlip && w.x >> 31 == 1, i32(mul_hi(w.y, shifts)) - i32(Shape::kPad),
                  i32(mul_hi(w.z, shifts)) - i32(Shape::kPad)};
  } else {
    return Change{false, 0, 0};
  }
}

// inside is which of 0..size-1 stands at place i of an axis, -1 beyond the border
// where that is filled with zeros.
template <bool reflect>
WRNC_DEVICE i32 inside(i32 i, i32 size) {
  if (i >= 0 && i < size) return i;
  if (!reflect) return -1;
  return i < 0 ? -i : 2 * (size - 1) - i;
}

template <class Shape, u32 threads>
WRNC_DEVICE void augment(const u8* set, const i32* numbers, const u64* seed, const u64* epoch, const f32* values,
                         f32* batch, i32 n, i32 pictures) {
  constexpr u32 H = Shape::kH, W = Shape::kW, C = Shape::kC;
  const u64 pixel = u64(block_index()) * threads + thread_index();
  const u64 sample = pixel / (H * W);
  if (sample < u64(n)) {
    const u32 picture = u32(numbers[sample]), place = u32(pixel % (H * W));
    const bool known = picture < u32(pictures);
    const Change change = change_of<Shape>(seed, epoch, picture);
    const i32 y = inside<Shape::kReflect>(i32(place / W) + change.dy, H);
    i32 x = inside<Shape::kReflect>(i32(place % W) + change.dx, W);
    const bool filled = y >= 0 && x >= 0;
    if (change.flip) x = i32(W) - 1 - x;
    const u8* const from = set + (known && filled ? ((u64(picture) * H + u32(y)) * W + u32(x)) * C : 0);
    f32* const to = batch + pixel * C;
    for (u32 c = 0; c < C; c++) {
      f32 value = known ? 0.0f : from_bits(0x7fc00000);
      if (known && filled) value = load_floats<1>(values + (256 * c + from[c])).v[0];
      to[c] = value;
    }
  }
}
