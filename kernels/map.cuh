// A region without a root: elementwise work on a picture, with Reduces if it has any.
// A block takes one unit of pixels and a tile of channels.
#pragma once

#include "drain.cuh"

// MapShape is the picture [H,W,C].
template <i32 H_, i32 W_, i32 C_>
struct MapShape {
  static constexpr i32 H = H_, W = W_, C = C_;
};

// MapTile is N channels by Threads threads.
template <u32 N_, u32 Threads>
struct MapTile {
  static constexpr u32 N = N_, kThreads = Threads;
  static_assert(Threads % 32 == 0, "whole warps");
};

// MapLayout is a kernel's shared memory, which only Reduces need:
//
//     vectors = N / V,  slots = Threads/32 if vectors < 32, else Threads/vectors
//     scratch = max(slots * (2*N + vectors), 3*Threads)    floats; in ConvLayout with the result tile's columns for N
//     kShared = up16(scratch * 4), or 0 without Reduces
template <class Shape, class Tile, class Epilogue>
struct MapLayout {
  using Cols = Columns<Tile::N, Tile::N, Tile::N>;
  static constexpr i32 kTiles = ceil_div(Shape::C, i32(Tile::N));
  static constexpr u32 kScratch = Epilogue::kReduces ? UnitReducer<Cols, Epilogue::kVec, Tile::kThreads>::kScratch : 0;
  static constexpr u32 kShared = (kScratch * 4 + 15) / 16 * 16;
};

// map is the whole kernel. The epilogue does all the work: its root is zero.
template <class Shape, class Unit, class Tile, class Epilogue, class Args>
WRNC_DEVICE void map(const Args& args) {
  using L = MapLayout<Shape, Tile, Epilogue>;
  using Grid = Units<Shape::H, Shape::W, 1, Unit>;
  const i32 tile = i32(block_index()) % L::kTiles, unit = i32(block_index()) / L::kTiles;
  f32* scratch = nullptr;
  if constexpr (Epilogue::kReduces) {
    Smem smem(L::kShared);
    scratch = smem.take<f32, L::kScratch>();
  }
  const typename L::Cols columns{tile * i32(Tile::N)};
  drain<Epilogue, Grid, Unit, Tile::kThreads>(args, Grid::place(unit), unit, columns, Shape::C, scratch,
                                              [](u32, u32) { return Floats<Epilogue::kVec>{}; });
  if constexpr (Epilogue::kReduces)
    finish_channels<Epilogue, Grid, Tile::N, Tile::kThreads>(args, unit, tile, Shape::C, scratch);
}
