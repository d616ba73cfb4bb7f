// Average pool: the mean over each picture, [N,H,W,C] -> [N,1,1,C].
#pragma once

#include "map.cuh"

// PoolLayout is a kernel's shared memory: kShared = up16(lanes * N * 4), where lanes
// = Threads / (N / V) threads, V of the prologue, share a channel's pixels.
template <class Tile, class Prologue>
struct PoolLayout {
  static constexpr u32 kVectors = Tile::N / Prologue::kVec, kLanes = Tile::kThreads / kVectors;
  static_assert(Tile::N % Prologue::kVec == 0 && kLanes > 0, "a thread owns a channel vector");
  static constexpr u32 kShared = (kLanes * Tile::N * 4 + 15) / 16 * 16;
};

// avgpool is the whole kernel: a block takes one sample and a tile of channels. Its
// threads share the pixels, and their sums are added in order.
template <class Shape, class Tile, class Prologue, class Epilogue, class Args>
WRNC_DEVICE void avgpool(const Args& args) {
  using L = PoolLayout<Tile, Prologue>;
  static_assert(!Epilogue::kReduces, "a pool's epilogue has no Reduces");
  constexpr i32 tiles = ceil_div(Shape::C, i32(Tile::N)), pixels = Shape::H * Shape::W;
  const i32 n = i32(block_index()) / tiles, first = i32(block_index()) % tiles * i32(Tile::N);
  Smem smem(L::kShared);
  f32* const sums = smem.take<f32, L::kLanes * Tile::N>();
  {
    constexpr u32 V = Prologue::kVec;
    const u32 column = thread_index() % L::kVectors * V, lane = thread_index() / L::kVectors;
    const i32 c = first + i32(column);
    if (lane < L::kLanes && c < Shape::C) {
      const typename Prologue::Channel channel = Prologue::channel(args, c);
      Floats<V> sum{};
#pragma unroll 4
      for (i32 p = i32(lane); p < pixels; p += i32(L::kLanes)) {
        const At at{n, p / Shape::W, p % Shape::W, i64(n) * pixels + p};
        sum = add(sum, Prologue::apply(args, channel, at, c));
      }
      store_tile(sums + lane * Tile::N + column, sum);
    }
  }
  barrier();
  constexpr u32 V = Epilogue::kVec;
  static_assert(Tile::N % V == 0 && Tile::N / V <= Tile::kThreads, "a thread owns a channel vector");
  const u32 column = thread_index() * V;
  const i32 c = first + i32(column);
  if (column < Tile::N && c < Shape::C) {
    Floats<V> sum = load_tile<V>(sums + column);
#pragma unroll 4
    for (u32 lane = 1; lane < L::kLanes; lane++) sum = add(sum, load_tile<V>(sums + lane * Tile::N + column));
    typename Epilogue::Sums none{};
    Epilogue::apply(args, Epilogue::channel(args, c), none, At{n, 0, 0, n}, c,
                    map_floats<V>([&](u32 i) { return div_(sum.v[i], f32(pixels)); }));
  }
}
