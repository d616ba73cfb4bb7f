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

  // position_of is that of result m of a unit; of the first past the last one, which
  // fill up a tile and whose products nobody reads.
  template <class Unit>
  WRNC_DEVICE i32 position_of(i32 m) {
    if (m >= Unit::kVolume) m = 0;
    return position(m / (Unit::kRows * Unit::kPixels), m / Unit::kPixels % Unit::kRows, m % Unit::kPixels);
  }

  WRNC_DEVICE i32 shift(i32 y, i32 x) { return y * kPitch + x % Advance * kLane + x / Advance; }

  // pixel is the index in the picture of a position of the tile whose first one is
  // pixel (n, y, x); -1 outside the picture and past the last sample.
  WRNC_DEVICE i32 pixel(i32 position, i32 n, i32 y, i32 x, i32 samples) {
    const i32 column = position % kPitch, row = position / kPitch;
    n += row / kTileRows;
    y += row % kTileRows * Pick;
    x += (column % kLane * Advance + column / kLane) * Pick;
    const bool inside = position < kPositions && n < samples && y >= 0 && y < Rows && x >= 0 && x < Cols;
    return inside ? (n * Rows + y) * Cols + x : -1;
  }

  // locate writes the pixels of Positions positions to a table in shared memory: the
  // threads that fill a position for different channels need not each compute it.
  template <u32 Positions, u32 Threads>
  WRNC_DEVICE void locate(i32* pixels, i32 n, i32 y, i32 x, i32 samples) {
    for (u32 position = thread_index(); position < Positions; position += Threads)
      pixels[position] = pixel(i32(position), n, y, x, samples);
  }

  WRNC_DEVICE At at(i32 pixel) { return At{pixel / (Rows * Cols), pixel / Cols % Rows, pixel % Cols, pixel}; }
};

// Filler fills a tile [position][channel] of Width channels, in rows of Row elements,
// with what the prologue makes of an operand of Channels channels. It is zero where
// there is no pixel, and past the last channel: padding is zero *after* the prologue.
// A thread has the same channels at all its positions.
template <class Prologue, class W, class Store, u32 Width, u32 Row, u32 Positions, i32 Channels, u32 Threads>
struct Filler {
  static constexpr u32 V = Prologue::kVec;
  static constexpr u32 kVectors = Width / V;
  static constexpr u32 kStep = Threads / kVectors;  // positions at once
  static constexpr u32 kRounds = (Positions + kStep - 1) / kStep;
  static_assert(Width % V == 0 && kVectors <= Threads, "a thread fills a vector of channels");
  static_assert(Channels % i32(V) == 0, "a vector has all its channels, or none");

  // fill does rounds [begin, end) for channels from `first` on, Unroll at once. Loads
  // have no conditions (where there is no pixel, the first one is loaded), so those
  // of several rounds can be in flight together.
  template <u32 Unroll, class Args>
  WRNC_DEVICE void fill(const Args& args, const i32* pixels, Store* tile, i32 first, u32 begin, u32 end) {
    const u32 vector = thread_index() % kVectors, lane = thread_index() / kVectors;
    const i32 c = first + i32(vector * V), safe = c < Channels ? c : 0;
    if (begin < end && lane < kStep) {
      const typename Prologue::Channel channel = Prologue::channel(args, safe);
#pragma unroll Unroll
      for (u32 round = begin; round < end; round++) {
        const u32 position = round * kStep + lane;
        const i32 pixel = pixels[position < Positions ? position : Positions - 1];
        const Floats<V> value = Prologue::apply(args, channel, W::at(imax(pixel, 0)), safe);
        if (position < Positions) {
          Store* const to = tile + position * Row + vector * V;
          if (pixel >= 0 && c < Channels) store_tile<V>(to, value);
          else store_tile<V>(to, Floats<V>{});
        }
      }
    }
  }
};
