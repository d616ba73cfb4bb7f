// The start of a kernel: an operand goes through its prologue into shared memory.
#pragma once

#include "math.cuh"
#include "units.cuh"

// Window is the part of a Rows x Cols picture that one unit needs, as a tile of
// positions in shared memory: Samples x TileRows x TileCols pixels, Pick apart in
// the picture.
//
// The inputs of neighbouring results lie Advance positions apart. To let eight of
// them be eight neighbouring positions again, which is what reads without bank
// conflicts need, a row keeps its columns by their remainder:
//
//     Advance 2, 5 columns:   0 2 4 | 1 3 -
template <i32 Rows, i32 Cols, i32 Samples_, i32 TileRows_, i32 TileCols_, i32 Pick, i32 Advance>
struct Window {
  static constexpr i32 kSamples = Samples_, kTileRows = TileRows_, kTileCols = TileCols_;
  static constexpr i32 kLane = ceil_div(kTileCols, Advance);  // columns of one remainder
  static constexpr i32 kPitch = kLane * Advance;
  static constexpr i32 kPositions = kSamples * kTileRows * kPitch;

  // position of the input of result (sample, row, pixel) under the filter's first
  // tap; a tap lies shift() positions further.
  WRNC_DEVICE i32 position(i32 n, i32 y, i32 x) { return (n * kTileRows + y * Advance) * kPitch + x; }
  WRNC_DEVICE i32 shift(i32 y, i32 x) { return y * kPitch + x % Advance * kLane + x / Advance; }

  // at finds the pixel of a position, for a tile whose first one is pixel (n, y, x);
  // false outside the picture, where `at` is the nearest pixel inside: it can be
  // loaded without a condition.
  WRNC_DEVICE bool at(i32 position, i32 n, i32 y, i32 x, i32 samples, At& at) {
    const i32 column = position % kPitch, row = position / kPitch;
    n += row / kTileRows;
    y += row % kTileRows * Pick;
    x += (column % kLane * Advance + column / kLane) * Pick;
    at.n = imin(n, samples - 1);
    at.y = imin(imax(y, 0), Rows - 1);
    at.x = imin(imax(x, 0), Cols - 1);
    at.pixel = (at.n * Rows + at.y) * Cols + at.x;
    return at.n == n && at.y == y && at.x == x;
  }
};

// Filler fills a tile [position][channel] of Width channels, in rows of Row elements,
// with what the prologue makes of an operand of Channels channels. It is zero outside
// the picture, past the last sample and channel, and from position W::kPositions to
// Positions: padding is zero *after* the prologue. A thread has the same channels at
// all its positions.
template <class Prologue, class W, class Store, u32 Width, u32 Row, u32 Positions, i32 Channels, u32 Threads>
struct Filler {
  static constexpr u32 V = Prologue::kVec;
  static constexpr u32 kVectors = Width / V;
  static constexpr u32 kStep = Threads / kVectors;  // positions at once
  static constexpr u32 kRounds = (Positions + kStep - 1) / kStep;
  static_assert(Width % V == 0 && kVectors <= Threads, "a thread fills a vector of channels");
  static_assert(Channels % i32(V) == 0, "a vector has all its channels, or none");
  static_assert(Positions >= u32(W::kPositions), "the window fits");

  i32 n, y, x;  // the tile's first pixel

  // fill does rounds [begin, end) for channels from `first` on. Loads have no
  // conditions, so those of several rounds can be in flight at once.
  template <class Args>
  WRNC_MEMBER void fill(const Args& args, Store* tile, i32 first, u32 begin, u32 end) const {
    const u32 vector = thread_index() % kVectors, lane = thread_index() / kVectors;
    const i32 c = first + i32(vector * V), safe = c < Channels ? c : 0;
    if (begin < end && lane < kStep) {
      const typename Prologue::Channel channel = Prologue::channel(args, safe);
#pragma unroll 4
      for (u32 round = begin; round < end; round++) {
        const u32 position = round * kStep + lane;
        At at;
        const bool inside = W::at(i32(position), n, y, x, args.n, at) && c < Channels && position < u32(W::kPositions);
        const Floats<V> value = Prologue::apply(args, channel, at, safe);
        if (position < Positions)
          store_floats<V>(tile + position * Row + vector * V, map_floats<V>([&](u32 i) { return inside ? value.v[i] : 0.0f; }));
      }
    }
  }
};
