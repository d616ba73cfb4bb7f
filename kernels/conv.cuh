// Convolution and its gradient by the picture, as an implicit matrix product:
//
//     result[pixel, out] = sum over taps and in of input[pixel shifted by tap, in] * weight[tap, in, out]
//
// A block computes a tile of M pixels (one unit, see units.cuh) x N channels. It
// takes the input channels in chunks of K. For each chunk:
//
//   fill      the input goes through the prologue into a tile of shared memory, with
//             a border so that every tap of every pixel lies in it: each input is
//             transformed once, not once a tap
//   multiply  for each tap the product reads that tile shifted by the tap. Weights of
//             a chunk come through a ring of asynchronous copies, a row of the filter
//             at a time
//
// While one chunk is multiplied, the next is filled into a second tile, a share at
// every row. At the end
//
//   drain     the sums go through a result tile in shared memory, some columns at a
//             time, so that the epilogue sees vectors of channels
//
// Backward, the weight's roles change: its rows k are summed over, its columns c are
// the result's channels. A strided gradient runs by phases: a result row
// h = stride*i + phase only meets filter rows r with (h + pad - r) divisible by the
// stride. A phase may have no tap at all (1x1, stride 2): its result is zero, and
// still goes through the epilogue.
#pragma once

#include "drain.cuh"
#include "fill.cuh"

// ConvShape is the forward convolution's geometry, for its gradients too: picture
// [H,W,C], filter [K,R,R,C], result [P,Q,K].
template <i32 H_, i32 W_, i32 C_, i32 P_, i32 Q_, i32 K_, i32 R_, i32 Pad_, i32 Stride_, bool Dgrad_>
struct ConvShape {
  static constexpr i32 H = H_, W = W_, C = C_, P = P_, Q = Q_, K = K_, R = R_, kPad = Pad_, kStride = Stride_;
  static constexpr bool kDgrad = Dgrad_;
  static_assert(P == (H + 2 * kPad - R) / kStride + 1 && Q == (W + 2 * kPad - R) / kStride + 1, "sizes belong together");
  static_assert(kPad < R, "a tap reaches each result");

  static constexpr i32 kIn = kDgrad ? K : C, kOut = kDgrad ? C : K;  // channels summed over, channels of the result
  static constexpr i32 kInRows = kDgrad ? P : H, kInCols = kDgrad ? Q : W;
  static constexpr i32 kOutRows = kDgrad ? H : P, kOutCols = kDgrad ? W : Q;
  static constexpr i32 kPhase = kDgrad ? kStride : 1;  // phases of a row of the result

  // Of a filter with one tap only the pixels that it hits are filled.
  static constexpr i32 kPick = !kDgrad && R == 1 ? kStride : 1;
  static constexpr i32 kAdvance = !kDgrad && R > 1 ? kStride : 1;

  // Rows of input that one result row of any phase can reach, and the first of
  // them, from row y*kStride forward, from row i of the phase's plane backward.
  // Backward that is (phase + kPad - r)/kStride; C++ rounds to 0, which is up where
  // the first row is negative.
  static constexpr i32 kFirst = kDgrad ? (kPad - R + 1) / kStride : -kPad;
  static constexpr i32 kSpan = kDgrad ? (kStride - 1 + kPad) / kStride - kFirst + 1 : R;
};

// ConvTile: M pixels x N channels, K input channels at a time, by WarpsM x WarpsN
// warps; the ring of weights has Stages places.
template <class Math_, u32 M_, u32 N_, u32 K_, u32 WarpsM_, u32 WarpsN_, u32 Stages_>
struct ConvTile {
  using Math = Math_;
  static constexpr u32 M = M_, N = N_, K = K_, kWarpsM = WarpsM_, kWarpsN = WarpsN_, kStages = Stages_;
  static constexpr u32 kThreads = 32 * kWarpsM * kWarpsN;
  static constexpr u32 kWarpRows = M / kWarpsM, kWarpCols = N / kWarpsN;
  static constexpr u32 MI = kWarpRows / 16, NI = kWarpCols / 8;  // a warp's blocks
  static_assert(M % (16 * kWarpsM) == 0 && N % (8 * kWarpsN) == 0 && K % Math::kStep == 0, "a tile is whole blocks");
  static_assert((kWarpsN & (kWarpsN - 1)) == 0, "warps along N: a power of two");
  static_assert(kStages >= 2, "one place is filled while another is read");
};

// ResultTile is how M x N sums pass through shared memory: each warp gives kBlocks
// blocks of 8 columns at a time, 64 columns and 8192 floats in all at the most
// (more only if one block of each warp has more).
template <u32 M, u32 NI, u32 WarpsN>
struct ResultTile {
  static constexpr u32 kLimit = (8192 / M < 64 ? 8192 / M : 64) / (8 * WarpsN);
  static constexpr u32 kBlocks = NI % 8 == 0 && kLimit >= 8   ? 8
                                 : NI % 4 == 0 && kLimit >= 4 ? 4
                                 : NI % 2 == 0 && kLimit >= 2 ? 2
                                                              : 1;
  static constexpr u32 kSlabs = NI / kBlocks;
  static constexpr u32 kRun = kBlocks * 8, kColumns = kRun * WarpsN;
  static constexpr u32 kRow = kColumns + 8;
  using Cols = Columns<kColumns, kRun, NI * 8>;
};

WRNC_DEVICE constexpr u32 up16(u32 bytes) { return (bytes + 15) / 16 * 16; }

// ConvLayout is a kernel's shared memory. The compiler computes kShared too:
//
//     odd(e)   = e + 16/size if e*size/16 is even, else e            elements of a row, size = bytes of a stored element
//     words(e) = e + 8 if e is a multiple of 16, else e
//     input    = positions(window) * odd(K)
//     weights  = R * N * odd(K) forward; backward R * K * odd(N) for bf16 and R * K * words(N) for f32
//     inputs   = 2 * input if there are several chunks, else input
//     operands = up16(positions * 4) + up16(inputs * size) + up16(stages * weights * size)
//     result   = M * (columns + 8) * 4 + scratch * 4
//     kShared  = max(operands, result)
template <class Shape, class Unit, class Tile, class Epilogue>
struct ConvLayout {
  using Math = typename Tile::Math;
  using Store = typename Math::Store;
  using Grid = Units<Shape::kOutRows, Shape::kOutCols, Shape::kPhase, Unit>;
  static constexpr i32 kTileRows = (Unit::kRows - 1) * Shape::kAdvance + Shape::kSpan;
  static constexpr i32 kTileCols = (Unit::kPixels - 1) * Shape::kAdvance + Shape::kSpan;
  using Input =
      Window<Shape::kInRows, Shape::kInCols, Unit::kSamples, kTileRows, kTileCols, Shape::kPick, Shape::kAdvance>;
  using Result = ResultTile<Tile::M, Tile::NI, Tile::kWarpsN>;
  using Reducer = UnitReducer<typename Result::Cols, Epilogue::kVec, Tile::kThreads>;
  static_assert(u32(Unit::kVolume) <= Tile::M, "a unit fits its tile");

  static constexpr i32 kChunks = ceil_div(Shape::kIn, i32(Tile::K));
  static constexpr i32 kTilesN = ceil_div(Shape::kOut, i32(Tile::N));

  static constexpr u32 kInputRow = Math::rows_row(Tile::K);
  static constexpr u32 kPositions = u32(Input::kPositions), kInput = kPositions * kInputRow;
  static constexpr u32 kInputs = kChunks > 1 ? 2 : 1;

  // The weights of a tap, in rows of consecutive c.
  static constexpr u32 kWeightRows = Shape::kDgrad ? Tile::K : Tile::N;
  static constexpr u32 kWeightCols = Shape::kDgrad ? Tile::N : Tile::K;
  static constexpr u32 kWeightRow = Shape::kDgrad ? Math::columns_row(Tile::N) : Math::rows_row(Tile::K);
  static constexpr u32 kWeight = kWeightRows * kWeightRow, kStage = u32(Shape::R) * kWeight;

  static constexpr u32 kScratch = Epilogue::kReduces ? Reducer::kScratch : 0;

  static constexpr u32 kOperands =
      up16(kPositions * 4) + up16(kInputs * kInput * sizeof(Store)) + up16(Tile::kStages * kStage * sizeof(Store));
  static constexpr u32 kDrain = up16(Tile::M * Result::kRow * 4) + up16(kScratch * 4);
  static constexpr u32 kShared = kOperands > kDrain ? kOperands : kDrain;
};

// Taps are the filter's taps that a phase meets: rows r0, r0 + stride, ..., and
// columns alike.
template <class Shape>
struct Taps {
  i32 r0, s0, rows, cols;
  i32 y, x;  // row and column of the input tile that tap (r0, s0) reads for the first result

  WRNC_DEVICE Taps of(const Place& u) {
    if constexpr (Shape::kPhase == 1) return Taps{0, 0, Shape::R, Shape::R, first(0), first(0)};
    constexpr i32 step = Shape::kStride;
    const i32 r0 = (u.phase_y + Shape::kPad) % step, s0 = (u.phase_x + Shape::kPad) % step;
    return Taps{r0, s0, ceil_div(Shape::R - r0, step), ceil_div(Shape::R - s0, step), first(u.phase_y), first(u.phase_x)};
  }

  // Forward a later tap lies further, backward nearer.
  WRNC_DEVICE i32 first(i32 phase) { return Shape::kDgrad ? (phase + Shape::kPad) / Shape::kStride - Shape::kFirst : 0; }

  // weight is the index among the filter's taps of the r-th row's s-th tap, shift how
  // far from the first result's input it reads.
  WRNC_MEMBER i32 weight(i32 r, i32 s) const { return (r0 + r * Shape::kPhase) * Shape::R + s0 + s * Shape::kPhase; }
  template <class Input>
  WRNC_MEMBER i32 shift(i32 r, i32 s) const {
    return Shape::kDgrad ? Input::shift(y - r, x - s) : Input::shift(r, s);
  }
};

// Step is a step of the multiplication: a row of taps of a chunk, and its place in the
// ring of weights.
template <u32 Stages>
struct Step {
  i32 r, chunk;
  u32 stage;

  WRNC_MEMBER void advance(i32 rows) {
    if (++r == rows) r = 0, chunk++;
    if (++stage == Stages) stage = 0;
  }
};

// WeightCopy copies weight tiles of RowsN rows k and ColsN columns c, in rows of Row
// elements, zero past the last of both; as many bytes at a time as the channel count
// keeps aligned. A thread has the same column in all its rows.
template <class Shape, u32 RowsN, u32 ColsN, u32 Row, u32 Threads, class Store>
struct WeightCopy {
  static constexpr u32 kRowBytes = u32(Shape::C) * sizeof(Store);
  static constexpr u32 kBytes = kRowBytes % 16 == 0 ? 16 : kRowBytes % 8 == 0 ? 8 : kRowBytes % 4 == 0 ? 4 : 2;
  static constexpr u32 V = kBytes / sizeof(Store), kVectors = ColsN / V;
  static constexpr u32 kStep = Threads / kVectors < RowsN ? Threads / kVectors : RowsN;  // rows at once
  static constexpr u32 kRounds = (RowsN + kStep - 1) / kStep;
  static constexpr i32 kTaps = Shape::R * Shape::R;
  static_assert(ColsN % V == 0 && kVectors <= Threads, "a thread copies a vector");
  static constexpr bool kWhole = Shape::K % i32(RowsN) == 0 && Shape::C % i32(ColsN) == 0;  // no tile passes the last

  const Store* from;
  u32 to, row;
  i32 k, c;

  WRNC_DEVICE WeightCopy of(const Store* weight) {
    const u32 column = thread_index() % kVectors * V, row = thread_index() / kVectors;
    const Store* const from = weight + i64(row) * (kTaps * Shape::C) + column;
    return WeightCopy{from, pinned(row * Row + column), row, i32(row), i32(column)};
  }

  // start starts the copy of the tile whose first weight is (k0, tap, c0).
  WRNC_MEMBER void start(Store* tile, i32 k0, i32 tap, i32 c0) const {
    const Store* const first = from + (i64(k0) * kTaps + tap) * Shape::C + c0;
#pragma unroll
    for (u32 round = 0; round < kRounds; round++) {
      if (row + round * kStep >= RowsN || row >= kStep) continue;
      const bool valid = kWhole || (k + k0 + i32(round * kStep) < Shape::K && c + c0 < Shape::C);
      const Store* const x = first + round * (i64(kStep) * (kTaps * Shape::C));
      Store* const y = tile + to + round * (kStep * Row);
      if constexpr (kBytes >= 4) {
        cp_async<kBytes>(y, x, valid);
      } else {  // two bytes cannot be copied asynchronously
        store_tile<1>(y, valid ? load_floats<1>(x) : Floats<1>{});
      }
    }
  }
};

template <bool First, class A, class B>
struct Chosen {
  using Type = A;
};
template <class A, class B>
struct Chosen<false, A, B> {
  using Type = B;
};
template <bool First, class A, class B>
using Choose = typename Chosen<First, A, B>::Type;

// multiply_chunks fills and multiplies: the sums of a warp's part of the tile.
template <class L, class Shape, class Unit, class Tile, class Prologue, class Args>
WRNC_DEVICE void multiply_chunks(const Args& args, const typename L::Store* weight, const Place& place, i32 tile,
                                 u32 warp_row, u32 warp_col, f32 (&sums)[Tile::MI][Tile::NI][4]) {
  using Math = typename Tile::Math;
  using Store = typename Math::Store;
  using Input = typename L::Input;
  using Fill = Filler<Prologue, Input, Store, Tile::K, L::kInputRow, L::kPositions, Shape::kIn, Tile::kThreads>;
  using Copy = WeightCopy<Shape, L::kWeightRows, L::kWeightCols, L::kWeightRow, Tile::kThreads, Store>;
  constexpr u32 MI = Tile::MI, blocks = Tile::NI % 2 == 0 ? 2 : 1;
  constexpr bool kFixed = Shape::kPhase == 1;  // every phase has all taps
  constexpr i32 kUnrollTaps = kFixed && Math::kUnrollTaps ? Shape::R : 1;

  Smem smem(L::kOperands);
  Store* const inputs = smem.take<Store, L::kInputs * L::kInput>();
  Store* const weights = smem.take<Store, Tile::kStages * L::kStage>();
  i32* const pixels = smem.take<i32, L::kPositions>();
  const Taps<Shape> taps = Taps<Shape>::of(place);
  const i32 steps = taps.cols > 0 ? taps.rows * L::kChunks : 0;
  const Copy copy = Copy::of(weight);

  // Where this thread's rows of A begin in the input tile, and of B in a weight tile.
  using ViewA = typename Math::RowsA;
  u32 own_a[MI][ViewA::kOwn];
#pragma unroll
  for (u32 i = 0; i < MI; i++)
#pragma unroll
    for (u32 j = 0; j < ViewA::kOwn; j++) {
      const i32 m = i32(warp_row + i * 16 + ViewA::row(j));
      own_a[i][j] = pinned(u32(Input::template position_of<Unit>(m)) * L::kInputRow + ViewA::element());
    }
  using ViewB =
      Choose<Shape::kDgrad, typename Math::template ColumnsB<blocks>, typename Math::template RowsB<blocks>>;
  constexpr u32 b_column = Shape::kDgrad ? 1 : L::kWeightRow, b_term = Shape::kDgrad ? L::kWeightRow : 1;
  u32 own_b[ViewB::kOwn];
  own_offsets<ViewB>(own_b, L::kWeightRow, warp_col * b_column);

  // The copies run kStages - 1 steps ahead. Each step has a group of them, if need
  // be an empty one, so that groups can be counted.
  Step<Tile::kStages> now{}, ahead{};
  const auto copy_ahead = [&]() {
    if (steps > 0 && ahead.chunk < L::kChunks) {
      const i32 in = ahead.chunk * i32(Tile::K), out = tile * i32(Tile::N);
#pragma unroll kUnrollTaps
      for (i32 s = 0; s < (kFixed ? Shape::R : taps.cols); s++)
        copy.start(weights + ahead.stage * L::kStage + u32(s) * L::kWeight, Shape::kDgrad ? in : out,
                   taps.weight(ahead.r, s), Shape::kDgrad ? out : in);
      ahead.advance(taps.rows);
    }
    cp_async_commit();
  };
#pragma unroll
  for (u32 stage = 0; stage + 1 < Tile::kStages; stage++) copy_ahead();
  if (steps > 0) {
    constexpr i32 start = Shape::kDgrad ? 1 : Shape::kStride;
    const i32 y = place.y * start + Shape::kFirst, x = place.x * start + Shape::kFirst;
    Input::template locate<L::kPositions, Tile::kThreads>(pixels, place.n, y, x, args.n);
  }
  barrier();
  if (steps > 0) Fill::template fill<4>(args, pixels, inputs, 0, 0, Fill::kRounds);

  // A step fills `share` rounds of the next chunk, as long as there are any.
  constexpr u32 even_share = (Fill::kRounds + u32(Shape::R) - 1) / u32(Shape::R);
  const u32 share = kFixed ? even_share : u32(ceil_div(i32(Fill::kRounds), imax(1, taps.rows)));
  u32 filled = 0;
#pragma unroll 1
  for (i32 step = 0; step < steps; step++) {
    cp_async_wait<Tile::kStages - 2>();
    barrier();  // this step's weights and inputs are there; all have done with those of the step before
    copy_ahead();
    if (L::kInputs > 1 && now.chunk + 1 < L::kChunks) {
      const u32 end = filled + share < Fill::kRounds ? filled + share : Fill::kRounds;
      Fill::template fill<(even_share < 4 ? even_share : 4)>(
          args, pixels, inputs + u32(now.chunk + 1) % 2 * L::kInput, (now.chunk + 1) * i32(Tile::K), filled, end);
      filled = end;
    }

    const Store* const a_row = inputs + u32(now.chunk) % L::kInputs * L::kInput;
    const Store* const b_row = weights + now.stage * L::kStage;
#pragma unroll kUnrollTaps
    for (i32 s = 0; s < (kFixed ? Shape::R : taps.cols); s++) {
      const Store* const a_tile = a_row + u32(taps.template shift<Input>(now.r, s)) * L::kInputRow;
      const Store* const b_tile = b_row + u32(s) * L::kWeight;
#pragma unroll Math::kUnrollSteps
      for (u32 k = 0; k < Tile::K; k += Math::kStep) {
        typename Math::A a[MI];
#pragma unroll
        for (u32 i = 0; i < MI; i++) ViewA::load(a[i], a_tile + k, own_a[i]);
        multiply_columns<Math, ViewB, blocks>(sums, a, b_tile + k * b_term, own_b, 8 * b_column);
      }
    }
    now.advance(taps.rows);
    if (now.r == 0) filled = 0;
  }
}

// drain_tile gives the sums to the epilogue.
template <class L, class Shape, class Unit, class Tile, class Epilogue, class Args>
WRNC_DEVICE void drain_tile(const Args& args, const Place& place, i32 unit, i32 tile, u32 warp_row,
                            const f32 (&sums)[Tile::MI][Tile::NI][4]) {
  using Result = typename L::Result;
  Smem smem(L::kDrain);
  f32* const result = smem.take<f32, Tile::M * Result::kRow>();
  f32* scratch = nullptr;
  if constexpr (Epilogue::kReduces) scratch = smem.take<f32, L::kScratch>();
  f32* const mine = result + warp_row * Result::kRow + warp_index() % Tile::kWarpsN * Result::kRun;
#pragma unroll 1
  for (u32 slab = 0; slab < Result::kSlabs; slab++) {
    if (slab > 0) barrier();
    store_sums<Result::kBlocks>(mine, Result::kRow, sums, slab * Result::kBlocks);
    barrier();
    const typename Result::Cols columns{tile * i32(Tile::N) + i32(slab * Result::kRun)};
    drain<Epilogue, typename L::Grid, Unit, Tile::kThreads>(
        args, place, unit, columns, Shape::kOut, scratch,
        [&](u32 m, u32 column) { return load_tile<Epilogue::kVec>(result + m * Result::kRow + column); });
  }
  if constexpr (Epilogue::kReduces)
    finish_channels<Epilogue, typename L::Grid, Tile::N, Tile::kThreads>(args, unit, tile, Shape::kOut, scratch);
}

// conv is the whole kernel.
template <class Shape, class Unit, class Tile, class Prologue, class Epilogue, class Args>
WRNC_DEVICE void conv(const Args& args, const typename Tile::Math::Store* weight) {
  using L = ConvLayout<Shape, Unit, Tile, Epilogue>;
  const i32 tile = i32(block_index()) % L::kTilesN, unit = i32(block_index()) / L::kTilesN;
  const u32 warp_row = warp_index() / Tile::kWarpsN * Tile::kWarpRows;
  const u32 warp_col = warp_index() % Tile::kWarpsN * Tile::kWarpCols;
  const Place place = L::Grid::place(unit);
  f32 sums[Tile::MI][Tile::NI][4] = {};
  multiply_chunks<L, Shape, Unit, Tile, Prologue>(args, weight, place, tile, warp_row, warp_col, sums);
  barrier();  // the result takes the place of the operands
  drain_tile<L, Shape, Unit, Tile, Epilogue>(args, place, unit, tile, warp_row, sums);
}
