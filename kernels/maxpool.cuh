// maxpool and its gradient. What codegen prints:
//
//     // maxpool, windows of 3x3, stride 2: [N,112,112,64] in bf16 -> [N,56,56,64]
//     #include "maxpool.cuh"
//
//     struct Args { const bf16* a0; f32* a1; i32 n; };             // picture, result
//     using Shape = WindowShape<112, 112, 64, 56, 56, 3, 1, 2>;    // H W C, P Q, R pad stride
//
//     WRNC_KERNEL(maxpool_..., 256, 2)(const Args args) {
//       maxpool<Shape, 4, 256>(args.a0, args.a1, args.n);          // channels of a thread, threads
//     }
//
//     // maxpool_grad, windows of 3x3, stride 2: [N,56,56,64] in f32 -> [N,112,112,64]
//     #include "maxpool.cuh"
//
//     struct Args { const f32* a0; const bf16* a1; f32* a2; i32 n; };  // the result's gradient, picture, the picture's
//     using Shape = WindowShape<112, 112, 64, 56, 56, 3, 1, 2>;
//
//     WRNC_KERNEL(maxpool_grad_..., 256, 2)(const Args args) {
//       maxpool_grad<Shape, 4, 256>(args.a0, args.a1, args.a2, args.n);
//     }
//
// Each pointer may be f32 or bf16. A thread computes neighbouring channels of one
// pixel: of the result, or of the picture's gradient.
#pragma once

#include "ops.cuh"

template <u32 h, u32 w, u32 c, u32 p, u32 q, u32 r, u32 pad, u32 stride>
struct WindowShape {
  static constexpr u32 kH = h, kW = w, kC = c, kP = p, kQ = q, kR = r, kPad = pad, kStride = stride;
  static constexpr u32 kUnroll = r <= 3 ? r : 1;  // of the loops over a window
  static_assert(pad < r && stride >= 1, "each window has a pixel of the picture");
  static_assert((h + 2 * pad - r) / stride + 1 == p && (w + 2 * pad - r) / stride + 1 == q, "the windows of a picture");
};

// Place is what a thread computes: its first channel of a pixel.
struct Place {
  i32 n, y, x, c;
  bool valid;
};

// place_of is the thread's place among n pictures of rows x cols pixels.
template <u32 V, u32 threads, u32 rows, u32 cols, u32 channels>
WRNC_DEVICE Place place_of(i32 n) {
  static_assert(channels % V == 0, "channels of a thread divide those of a pixel");
  constexpr u32 vectors = channels / V;
  static_assert(u64(rows) * cols * vectors < 0x80000000, "a picture is numbered in 31 bits");
  constexpr u32 picture = rows * cols * vectors;
  const u64 index = u64(block_index()) * threads + thread_index();
  const u64 sample = index / picture;
  const u32 rest = u32(index % picture), pixel = rest / vectors;
  return Place{i32(sample), i32(pixel / cols), i32(pixel % cols), i32(rest % vectors * V), sample < u64(n)};
}

// maxpool takes the largest element of each window inside the picture; a NaN is
// larger than any number.
template <class Shape, u32 V, u32 threads, class X, class Y>
WRNC_DEVICE void maxpool(const X* x, Y* y, i32 n) {
  constexpr i32 H = Shape::kH, W = Shape::kW, C = Shape::kC, P = Shape::kP, Q = Shape::kQ, R = Shape::kR;
  constexpr i32 step = Shape::kStride, pad = Shape::kPad;
  const Place at = place_of<V, threads, P, Q, C>(n);
  if (at.valid) {
    const i32 row = at.y * step - pad, col = at.x * step - pad;  // may lie outside the picture
    const X* const picture = x + i64(at.n) * (H * W) * C + at.c;
    Floats<V> best = broadcast<V>(from_bits(0xff800000));
#pragma unroll Shape::kUnroll
    for (i32 i = row; i < row + R; i++) {
#pragma unroll Shape::kUnroll
      for (i32 j = col; j < col + R; j++) {
        if (i >= 0 && i < H && j >= 0 && j < W) {
          const Floats<V> v = load_floats<V>(picture + i64(i * W + j) * C);
          best = map_floats<V>([&](u32 k) {
            const f32 b = best.v[k];
            return b == b && !(v.v[k] <= b) ? v.v[k] : b;
          });
        }
      }
    }
    store_floats<V>(y + (i64(at.n) * (P * Q) + at.y * Q + at.x) * C + at.c, best);
  }
}

// outdone tells whether x is not the largest of its window because of u, which
// comes before or after it, row by row: of equals the first is the largest, and of
// NaNs too.
WRNC_DEVICE bool outdone(f32 x, f32 u, bool before) {
  if (x != x) return before && u != u;
  return before ? !(u < x) : !(u <= x);
}

// maxpool_grad gives an element the gradients of those windows whose largest it is,
// added up in the order of the windows. A thread looks through each window that its
// pixel lies in, so that nothing is added from two threads.
template <class Shape, u32 V, u32 threads, class G, class X, class D>
WRNC_DEVICE void maxpool_grad(const G* g, const X* x, D* dx, i32 n) {
  constexpr i32 H = Shape::kH, W = Shape::kW, C = Shape::kC, P = Shape::kP, Q = Shape::kQ, R = Shape::kR;
  constexpr i32 step = Shape::kStride, pad = Shape::kPad;
  const Place at = place_of<V, threads, H, W, C>(n);
  if (at.valid) {
    const X* const picture = x + i64(at.n) * (H * W) * C + at.c;
    const G* const grad = g + i64(at.n) * (P * Q) * C + at.c;
    const Floats<V> mine = load_floats<V>(picture + i64(at.y * W + at.x) * C);
    // The windows [p0, p1) x [q0, q1) that the pixel lies in.
    const i32 p0 = at.y + pad < R ? 0 : (at.y + pad - R) / step + 1, p1 = imin((at.y + pad) / step + 1, P);
    const i32 q0 = at.x + pad < R ? 0 : (at.x + pad - R) / step + 1, q1 = imin((at.x + pad) / step + 1, Q);
    Floats<V> sum = broadcast<V>(0.0f);
    for (i32 p = p0; p < p1; p++) {
      for (i32 q = q0; q < q1; q++) {
        const i32 row = p * step - pad, col = q * step - pad;
        u32 lost = 0;  // a bit for each channel
#pragma unroll Shape::kUnroll
        for (i32 i = row; i < row + R; i++) {
#pragma unroll Shape::kUnroll
          for (i32 j = col; j < col + R; j++) {
            if (i >= 0 && i < H && j >= 0 && j < W && (i != at.y || j != at.x)) {
              const bool before = i < at.y || (i == at.y && j < at.x);
              const Floats<V> u = load_floats<V>(picture + i64(i * W + j) * C);
#pragma unroll
              for (u32 k = 0; k < V; k++) lost |= u32(outdone(mine.v[k], u.v[k], before)) << k;
            }
          }
        }
        const Floats<V> v = load_floats<V>(grad + i64(p * Q + q) * C);
        sum = map_floats<V>([&](u32 k) { return (lost >> k & 1) != 0 ? sum.v[k] : sum.v[k] + v.v[k]; });
      }
    }
    store_floats<V>(dx + (i64(at.n) * (H * W) + at.y * W + at.x) * C + at.c, sum);
  }
}
