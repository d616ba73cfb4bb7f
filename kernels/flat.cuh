// Elementwise work on many tensors in one launch, and Channel ops on many vectors:
// the optimizer over all parameters, conversions of weights, copies.
//
// The launch has a table of arguments, one entry a segment (a tensor). Segments have
// blocks one after the other; first_block says where each begins.
#pragma once

#include "ops.cuh"

// segment_of finds the block's segment: the last that begins at or before it.
WRNC_DEVICE u32 segment_of(const u32* first_block, u32 segments) {
  u32 low = 0, high = segments;
  while (high - low > 1) {
    const u32 middle = (low + high) / 2;
    if (first_block[middle] <= block_index()) low = middle;
    else high = middle;
  }
  return low;
}

// FlatTile: a block of Threads threads does Threads * Vectors vectors of four elements.
template <u32 Threads, u32 Vectors>
struct FlatTile {
  static constexpr u32 kThreads = Threads, kVectors = Vectors;
  static constexpr i64 kElems = i64(Threads) * Vectors * 4;
};

// flat applies the body to elems elements of each segment, four at a time and the
// last few one by one. Tensors begin on 16 bytes.
template <class Body, class Tile, class Args>
WRNC_DEVICE void flat(const Args* table, const u32* first_block, u32 segments) {
  const u32 segment = segment_of(first_block, segments);
  const Args args = table[segment];
  const i64 first = i64(block_index() - first_block[segment]) * Tile::kElems + thread_index() * 4;
#pragma unroll 1
  for (u32 i = 0; i < Tile::kVectors; i++) {
    const i64 e = first + i * (Tile::kThreads * 4);
    if (e + 4 <= args.elems) {
      Body::template apply<4>(args, e);
    } else {
#pragma unroll 1
      for (i64 tail = e; tail < args.elems; tail++) Body::template apply<1>(args, tail);
    }
  }
}

// channels applies the body to each channel of each segment, a thread a channel.
template <class Body, u32 Threads, class Args>
WRNC_DEVICE void channels(const Args* table, const u32* first_block, u32 segments) {
  const u32 segment = segment_of(first_block, segments);
  const Args args = table[segment];
  const i32 c = i32((block_index() - first_block[segment]) * Threads + thread_index());
  if (c < args.channels) Body::apply(args, c);
}
