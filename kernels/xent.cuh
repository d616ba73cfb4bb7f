// The loss of a batch and its gradient: cross entropy of a softmax. What codegen
// prints:
//
//     // xent: [N,1,1,10] in f32
//     #include "xent.cuh"
//
//     struct Args { const f32* a0; const i32* a1; f32* a2; i32 n; };   // logits, labels, [loss, mistakes]
//     using Shape = LossShape<10, 4, 1024>;                            // classes, threads that share a sample, threads
//     static_assert(Shape::kShared == 256, "the plan's block");
//
//     WRNC_KERNEL(xent_..., 1024, 1)(const Args args) { xent<Shape>(args.a0, args.a1, args.a2, args.n); }
//
//     // xent_grad: [N,1,1,10] in f32
//     #include "xent.cuh"
//
//     struct Args { const f32* a0; const i32* a1; f32* a2; i32 n; };   // logits, labels, gradient
//     using Shape = LossShape<10, 4, 256>;
//
//     WRNC_KERNEL(xent_grad_..., 256, 1)(const Args args) { xent_grad<Shape>(args.a0, args.a1, args.a2, args.n); }
//
// Logits may be bf16. The loss is one block; the gradient has a block for every
// kSamples samples. Sums have a fixed order.
//
// A label that is no class makes the loss NaN and the sample a mistake, and its
// gradient NaN; nothing is read for it. A NaN among the logits does the same.
#pragma once

#include "ops.cuh"

template <u32 classes, u32 lanes, u32 threads>
struct LossShape {
  static constexpr u32 kClasses = classes;
  static constexpr u32 kLanes = lanes;
  static constexpr u32 kThreads = threads;
  static constexpr u32 kWarps = threads / 32;
  static constexpr u32 kSamples = threads / lanes;                   // of a block at a time
  static constexpr u32 kShared = (2 * 4 * kWarps + 15) / 16 * 16;    // of xent: loss and mistakes of each warp
  static_assert(classes >= 1, "there are classes");
  static_assert(lanes >= 1 && lanes <= 32 && (lanes & (lanes - 1)) == 0, "a power of two of threads share a sample");
  static_assert(threads % 32 == 0 && threads <= 1024, "whole warps");
};

// sum_lanes adds up the values of each group of neighbouring threads; all of them
// get the same bits.
template <u32 lanes>
WRNC_DEVICE f32 sum_lanes(f32 v) {
#pragma unroll
  for (u32 mask = lanes / 2; mask > 0; mask /= 2) v = v + shuffle_xor(v, mask);
  return v;
}

// LossRow is a sample's row of logits, as one of the threads that share it sees it.
template <class Shape, class T>
struct LossRow {
  const T* logits;
  u32 first, end;  // this thread's classes: first, first + kLanes, ... below end
  u32 label;
  bool known;      // the label is a class
  f32 at_label;    // the label's logit, NaN if it is no class
  f32 largest;     // of all logits
  f32 sum;         // of exp(logit - largest)

  WRNC_MEMBER f32 logit(u32 k) const { return load_floats<1>(logits + k).v[0]; }

  // All 32 lanes of a warp make their rows together; a sample from n on has no
  // classes.
  WRNC_MEMBER LossRow(const T* all, const i32* labels, u32 sample, i32 n) {
    const bool valid = sample < u32(n);
    logits = all + i64(valid ? sample : 0) * Shape::kClasses;
    first = thread_index() % Shape::kLanes;
    end = valid ? Shape::kClasses : 0;
    label = valid ? u32(labels[sample]) : 0;
    known = valid && label < Shape::kClasses;
    at_label = known ? logit(label) : from_bits(0x7fc00000);
    largest = from_bits(0xff800000);
    for (u32 k = first; k < end; k += Shape::kLanes) largest = max_(logit(k), largest);
#pragma unroll
    for (u32 mask = Shape::kLanes / 2; mask > 0; mask /= 2) largest = max_(shuffle_xor(largest, mask), largest);
    sum = 0;
    for (u32 k = first; k < end; k += Shape::kLanes) sum = sum + exp_(logit(k) - largest);
    sum = sum_lanes<Shape::kLanes>(sum);
  }

  // mistaken tells whether the label's logit is not the largest: of equal ones the
  // first is, and a NaN is never right.
  WRNC_MEMBER bool mistaken() const {
    u32 beaten = 0;
    for (u32 k = first; k < end; k += Shape::kLanes) {
      const f32 v = logit(k);
      beaten |= k < label ? !(v < at_label) : !(v <= at_label);
    }
#pragma unroll
    for (u32 mask = Shape::kLanes / 2; mask > 0; mask /= 2) beaten |= shuffle_xor(beaten, mask);
    return beaten != 0;
  }
};

// xent writes the sum of the samples' losses and the number of mistakes. One block
// runs it.
template <class Shape, class T>
WRNC_DEVICE void xent(const T* logits, const i32* labels, f32* out, i32 n) {
  f32 loss = 0, mistakes = 0;
  for (u32 start = 0; start < u32(n); start += Shape::kSamples) {
    const u32 sample = start + thread_index() / Shape::kLanes;
    const LossRow<Shape, T> row(logits, labels, sample, n);
    const bool mistaken = row.mistaken();
    if (sample < u32(n) && row.first == 0) {
      loss = loss + (log_(row.sum) - (row.at_label - row.largest));
      mistakes = mistakes + f32(mistaken);
    }
  }
  loss = sum_lanes<32>(loss);
  mistakes = sum_lanes<32>(mistakes);

  Smem smem(Shape::kShared);
  f32* const sums = smem.take<f32, 2 * Shape::kWarps>();
  if (lane_index() == 0) {
    sums[warp_index()] = loss;
    sums[Shape::kWarps + warp_index()] = mistakes;
  }
  barrier();
  if (warp_index() == 0) {
    const bool valid = lane_index() < Shape::kWarps;
    loss = sum_lanes<32>(valid ? sums[lane_index()] : 0.0f);
    mistakes = sum_lanes<32>(valid ? sums[Shape::kWarps + lane_index()] : 0.0f);
    if (lane_index() == 0) {
      out[0] = loss;
      out[1] = mistakes;
    }
  }
}

// xent_grad writes the gradient of the mean loss: (softmax - onehot(label)) / n.
template <class Shape, class T>
WRNC_DEVICE void xent_grad(const T* logits, const i32* labels, f32* out, i32 n) {
  const u32 sample = block_index() * Shape::kSamples + thread_index() / Shape::kLanes;
  const LossRow<Shape, T> row(logits, labels, sample, n);
  f32* const to = out + i64(sample) * Shape::kClasses;
  for (u32 k = row.first; k < row.end; k += Shape::kLanes) {
    const f32 p = div_(exp_(row.logit(k) - row.largest), row.sum);
    const f32 g = div_(k == row.label ? p - 1.0f : p, f32(n));
    to[k] = row.known ? g : from_bits(0x7fc00000);
  }
}
