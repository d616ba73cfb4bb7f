// The gradient of a convolution by its weight:
//
//     dw[k, tap, c] = sum over pixels of gradient[pixel, k] * picture[pixel shifted by tap, c]
//
// A block computes M output channels x N input channels for all taps at once, over
// the units (boxes of the gradient's pixels, units.cuh) of one split of the batch.
// For each unit both operands go through their prologues into shared memory, once:
// the gradient without a border, the picture with one; then for each tap the product
// reads the picture's tile shifted by the tap. While one unit is multiplied, the
// next is filled into a second pair of tiles.
//
// Each split's sums go to a workspace. The last block of kSplitGroup splits adds
// theirs in order, and the last group's block adds the groups, in order; it gives
// the result to the epilogue, a tap at a time. A split is a fixed range of units,
// so a smaller batch has the same splits, the last of them shorter or empty.
#pragma once

#include "conv.cuh"

constexpr i32 kSplitGroup = 8;  // splits that are added at once

// WgradTile: M output channels x N input channels, by WarpsM x WarpsN warps, the
// filter's rows divided among WarpsT groups of them.
template <class Math_, u32 M_, u32 N_, u32 WarpsM_, u32 WarpsN_, u32 WarpsT_>
struct WgradTile {
  using Math = Math_;
  static constexpr u32 M = M_, N = N_, kWarpsM = WarpsM_, kWarpsN = WarpsN_, kWarpsT = WarpsT_;
  static constexpr u32 kThreads = 32 * kWarpsM * kWarpsN * kWarpsT;
  static constexpr u32 kWarpRows = M / kWarpsM, kWarpCols = N / kWarpsN;
  static constexpr u32 MI = kWarpRows / 16, NI = kWarpCols / 8;  // a warp's blocks
  static_assert(M % (16 * kWarpsM) == 0 && N % (8 * kWarpsN) == 0, "a tile is whole blocks");
  static_assert((kWarpsN & (kWarpsN - 1)) == 0, "a power of two");
};

// WgradLayout is a kernel's shared memory. The compiler computes kShared too, with
// odd, words and up16 of ConvLayout:
//
//     row(e)   = odd(e) for bf16, words(e) for f32
//     gradient = volume(unit) up to a multiple of the math's step (16, 8, 4) * row(M)
//     picture  = positions(window) * row(N)
//     tables   = up16(2 * (volume(unit) up as above) * 4) + up16(2 * positions * 4)
//     operands = up16(2 * gradient * size) + up16(2 * picture * size) + tables
//     result   = up16(M * (columns + 8) * 4)
//     kShared  = max(operands, result)
template <class Shape, class Unit, class Tile>
struct WgradLayout {
  using Math = typename Tile::Math;
  using Store = typename Math::Store;
  using Grid = Units<Shape::P, Shape::Q, 1, Unit>;
  using Gradient = Window<Shape::P, Shape::Q, Unit::kSamples, Unit::kRows, Unit::kPixels, 1, 1>;
  static constexpr i32 kTileRows = (Unit::kRows - 1) * Shape::kAdvance + Shape::R;
  static constexpr i32 kTileCols = (Unit::kPixels - 1) * Shape::kAdvance + Shape::R;
  using Picture =
      Window<Shape::H, Shape::W, Unit::kSamples, kTileRows, kTileCols, Shape::kPick, Shape::kAdvance>;
  using Result = ResultTile<Tile::M, Tile::NI, Tile::kWarpsN>;
  static_assert(!Shape::kDgrad, "the shape is the forward convolution's");
  static_assert(u32(Shape::R) % Tile::kWarpsT == 0, "groups of warps share the filter's rows evenly");

  static constexpr i32 kTilesM = ceil_div(Shape::K, i32(Tile::M)), kTilesN = ceil_div(Shape::C, i32(Tile::N));
  static constexpr u32 kPixels = (u32(Unit::kVolume) + Math::kStep - 1) / Math::kStep * Math::kStep;
  static constexpr u32 kGradientRow = Math::columns_row(Tile::M), kGradient = kPixels * kGradientRow;
  static constexpr u32 kPositions = u32(Picture::kPositions);
  static constexpr u32 kPictureRow = Math::columns_row(Tile::N), kPicture = kPositions * kPictureRow;

  static constexpr u32 kTables = up16(2 * kPixels * 4) + up16(2 * kPositions * 4);
  static constexpr u32 kOperands = up16(2 * kGradient * sizeof(Store)) + up16(2 * kPicture * sizeof(Store)) + kTables;
  static constexpr u32 kDrain = up16(Tile::M * Result::kRow * 4);
  static constexpr u32 kShared = kOperands > kDrain ? kOperands : kDrain;

  // A warp's taps, the blocks of four sums that a thread holds, and the floats of
  // workspace of one split.
  static constexpr u32 kRows = u32(Shape::R) / Tile::kWarpsT, kTaps = kRows * u32(Shape::R);
  static constexpr u32 kBlocks = kTaps * Tile::MI * Tile::NI;
  static constexpr i64 kPartial = i64(kTilesM * kTilesN) * (kBlocks * Tile::kThreads * 4);
};

// each_sum calls f(i, four sums) for the blocks that a thread holds.
template <u32 T, u32 MI, u32 NI, class F>
WRNC_DEVICE void each_sum(f32 (&sums)[T][MI][NI][4], F f) {
#pragma unroll
  for (u32 t = 0; t < T; t++)
#pragma unroll
    for (u32 i = 0; i < MI; i++)
#pragma unroll
      for (u32 j = 0; j < NI; j++) f((t * MI + i) * NI + j, sums[t][i][j]);
}

// multiply_unit adds one unit's products to the sums. gradient and picture are the
// warp's columns of the two tiles, the latter under its first tap.
template <class L, class Shape, class Unit, class Tile>
WRNC_DEVICE void multiply_unit(f32 (&sums)[L::kTaps][Tile::MI][Tile::NI][4], const typename L::Store* gradient,
                               const typename L::Store* picture) {
  using Math = typename Tile::Math;
  constexpr u32 blocks = Tile::NI % 2 == 0 ? 2 : 1;
  using ViewA = typename Math::ColumnsA;
  using ViewB = typename Math::template ColumnsB<blocks>;
  u32 own_a[ViewA::kOwn];
  own_offsets<ViewA>(own_a, L::kGradientRow, 0);
#pragma unroll 2
  for (u32 k = 0; k < L::kPixels; k += Math::kStep) {
    typename Math::A a[Tile::MI];
#pragma unroll
    for (u32 i = 0; i < Tile::MI; i++) ViewA::load(a[i], gradient + k * L::kGradientRow + i * 16, own_a);
    u32 own_b[ViewB::kOwn];
#pragma unroll
    for (u32 j = 0; j < ViewB::kOwn; j++)  // past the last pixel the gradient is zero
      own_b[j] = u32(L::Picture::template position_of<Unit>(i32(k + ViewB::row(j)))) * L::kPictureRow + ViewB::element();
#pragma unroll
    for (u32 tap = 0; tap < L::kTaps; tap++) {
      const u32 shift = u32(L::Picture::shift(i32(tap) / Shape::R, i32(tap) % Shape::R));
      multiply_columns<Math, ViewB, blocks>(sums[tap], a, picture + shift * L::kPictureRow, own_b, 8);
    }
  }
}

// add_splits replaces the sums by those of `slots` splits: first, first + step, ...
template <class L, class Tile>
WRNC_DEVICE void add_splits(f32 (&sums)[L::kTaps][Tile::MI][Tile::NI][4], const f32* workspace, i32 first, i32 step,
                            i32 slots) {
  each_sum(sums, [](u32, f32(&block)[4]) { block[0] = block[1] = block[2] = block[3] = 0; });
#pragma unroll 1
  for (i32 slot = 0; slot < slots; slot++) {
    const f32* const mine = workspace + (first + slot * step) * L::kPartial + thread_index() * 4;
    each_sum(sums, [&](u32 i, f32(&block)[4]) {
      const Vec<f32, 4> x = load<f32, 4>(mine + i * (Tile::kThreads * 4));
#pragma unroll
      for (u32 j = 0; j < 4; j++) block[j] += x.v[j];
    });
  }
}

template <class L, class Tile>
WRNC_DEVICE void store_split(f32 (&sums)[L::kTaps][Tile::MI][Tile::NI][4], f32* workspace, i32 slot) {
  f32* const mine = workspace + slot * L::kPartial + thread_index() * 4;
  each_sum(sums, [&](u32 i, f32(&block)[4]) {
    store<f32, 4>(mine + i * (Tile::kThreads * 4), Vec<f32, 4>{{block[0], block[1], block[2], block[3]}});
  });
}

// wgrad is the whole kernel. blocks = splits * tilesM * tilesN; span is the number of
// units of a split. counters: a tile's, then for each group of splits a tile's. Where
// there is one split (Split is false) workspace and counters are not used.
template <class Shape, class Unit, class Tile, class GradientPrologue, class PicturePrologue, class Epilogue, bool Split, class Args>
WRNC_DEVICE void wgrad(const Args& args, f32* workspace, u32* counters, i32 span) {
  using L = WgradLayout<Shape, Unit, Tile>;
  using Store = typename L::Store;
  using Gradient = typename L::Gradient;
  using Picture = typename L::Picture;
  using FillGradient =
      Filler<GradientPrologue, Gradient, Store, Tile::M, L::kGradientRow, L::kPixels, Shape::K, Tile::kThreads>;
  using FillPicture =
      Filler<PicturePrologue, Picture, Store, Tile::N, L::kPictureRow, L::kPositions, Shape::C, Tile::kThreads>;
  static_assert(!Epilogue::kReduces, "a weight's gradient has no channels to reduce");
  constexpr i32 tiles = L::kTilesM * L::kTilesN;
  const i32 tile = i32(block_index()) % tiles, split = i32(block_index()) / tiles;
  const i32 first_k = tile / L::kTilesN * i32(Tile::M), first_c = tile % L::kTilesN * i32(Tile::N);
  const u32 warp = warp_index(), group = warp / (Tile::kWarpsM * Tile::kWarpsN);
  const u32 warp_row = warp / Tile::kWarpsN % Tile::kWarpsM * Tile::kWarpRows;
  const u32 warp_col = warp % Tile::kWarpsN * Tile::kWarpCols;

  f32 sums[L::kTaps][Tile::MI][Tile::NI][4] = {};
  {
    Smem smem(L::kOperands);
    Store* const gradients = smem.take<Store, 2 * L::kGradient>();
    Store* const pictures = smem.take<Store, 2 * L::kPicture>();
    i32* const gradient_pixels = smem.take<i32, 2 * L::kPixels>();
    i32* const picture_pixels = smem.take<i32, 2 * L::kPositions>();
    const auto locate = [&](i32 unit) {
      const Place u = L::Grid::place(unit);
      const u32 half = u32(unit) % 2;
      const i32 y = u.y * Shape::kStride - Shape::kPad, x = u.x * Shape::kStride - Shape::kPad;
      Gradient::template locate<L::kPixels, Tile::kThreads>(gradient_pixels + half * L::kPixels, u.n, u.y, u.x, args.n);
      Picture::template locate<L::kPositions, Tile::kThreads>(picture_pixels + half * L::kPositions, u.n, y, x, args.n);
    };
    const auto fill = [&](i32 unit) {
      const u32 half = u32(unit) % 2;
      FillGradient::template fill<4>(args, gradient_pixels + half * L::kPixels, gradients + half * L::kGradient, first_k, 0,
                                     FillGradient::kRounds);
      FillPicture::template fill<4>(args, picture_pixels + half * L::kPositions, pictures + half * L::kPicture, first_c, 0,
                                    FillPicture::kRounds);
    };

    // Pixels are located two units ahead of the multiplication, tiles filled one.
    const i32 begin = split * span, end = imin(begin + span, L::Grid::count(args.n));
    if (begin < end) locate(begin);
    barrier();
    if (begin < end) fill(begin);
    if (begin + 1 < end) locate(begin + 1);
#pragma unroll 1
    for (i32 unit = begin; unit < end; unit++) {
      barrier();  // this unit is filled, the next located; all have done with the one before
      if (unit + 1 < end) fill(unit + 1);
      if (unit + 2 < end) locate(unit + 2);
      const u32 half = u32(unit) % 2, first_tap = u32(Picture::shift(i32(group * L::kRows), 0));
      multiply_unit<L, Shape, Unit, Tile>(sums, gradients + half * L::kGradient + warp_row,
                                          pictures + half * L::kPicture + first_tap * L::kPictureRow + warp_col);
    }
  }

  bool last = !Split;
  if constexpr (Split) {
    const i32 splits = i32(block_count()) / tiles;
    const i32 part = split / kSplitGroup, first = part * kSplitGroup, slots = imin(kSplitGroup, splits - first);
    const i32 groups = ceil_div(splits, kSplitGroup);
    f32* const mine = workspace + i64(tile) * (L::kBlocks * Tile::kThreads * 4);
    store_split<L, Tile>(sums, mine, split);
    if (last_block(counters + tiles * (1 + part) + tile, u32(slots))) {
      add_splits<L, Tile>(sums, mine, first, 1, slots);
      last = groups == 1;
      if (!last) {
        store_split<L, Tile>(sums, mine, first);  // a thread overwrites only what it alone has read
        last = last_block(counters + tile, u32(groups));
        if (last) add_splits<L, Tile>(sums, mine, 0, kSplitGroup, groups);
      }
    }
  }
  if (last) {
    barrier();  // the result takes the place of the operands
    using Result = typename L::Result;
    constexpr u32 V = Epilogue::kVec, vectors = Result::kColumns / V, lanes = Tile::kThreads / vectors;
    static_assert(Result::kColumns % V == 0 && Shape::C % i32(V) == 0 && lanes > 0, "a thread owns a channel vector");
    Smem smem(L::kDrain);
    f32* const result = smem.take<f32, Tile::M * Result::kRow>();
    f32* const mine = result + warp_row * Result::kRow + warp % Tile::kWarpsN * Result::kRun;
    const u32 column = thread_index() % vectors * V, lane = thread_index() / vectors;
#pragma unroll 1
    for (u32 step = 0; step < u32(Shape::R * Shape::R) * Result::kSlabs; step++) {
      const u32 tap = step / Result::kSlabs, slab = step % Result::kSlabs;
      if (step > 0) barrier();
#pragma unroll
      for (u32 t = 0; t < L::kTaps; t++)
        if (group * L::kTaps + t == tap)
          store_sums<Result::kBlocks>(mine, Result::kRow, sums[t], slab * Result::kBlocks);
      barrier();
      const typename Result::Cols columns{first_c + i32(slab * Result::kRun)};
      const i32 c = columns.channel(column);
      if (lane < lanes && c < Shape::C) {
        const typename Epilogue::Channel channel = Epilogue::channel(args, c);
        typename Epilogue::Sums none{};
#pragma unroll 1
        for (u32 m = lane; m < Tile::M; m += lanes) {
          const i32 k = first_k + i32(m);
          if (k >= Shape::K) continue;
          const At at{k, i32(tap) / Shape::R, i32(tap) % Shape::R, i64(k) * (Shape::R * Shape::R) + tap};
          Epilogue::apply(args, channel, none, at, c, load_tile<V>(result + m * Result::kRow + column));
        }
      }
    }
  }
}
