// The end of every kernel: results go through the epilogue to memory, and Reduces
// fold them into channel vectors.
//
// A thread owns one vector of channels and walks pixels. What a Reduce has gathered
// is then merged in four stages, each in a fixed order, so that a result depends
// neither on timing nor on the order of blocks:
//
//     thread -> unit      threads of a block with the same channels: shuffles, then
//                         shared memory; the unit's partial goes to memory
//     unit   -> group     the last block of kUnitGroup units merges their partials
//     group  -> channel   the last group's block merges the groups, and finishes:
//                         the Channel ops that follow run here, not in a launch
//
// Statistics are kept as (mean, sum of squared deviations): a plain sum of squares
// loses its digits where the mean is large.
#pragma once

#include "units.cuh"

// ---- The kinds of Reduce: Stats, GradStats, ChannelSum (ops.cuh).

// Rows says how a kind lies in memory: its rows of one number a channel, of a
// partial [units][rows][C] and of a result [rows][C].
template <class Kind>
struct Rows;
template <>
struct Rows<Stats> {
  static constexpr u32 kCount = 2;
};
template <>
struct Rows<GradStats> {
  static constexpr u32 kCount = 2;
};
template <>
struct Rows<ChannelSum> {
  static constexpr u32 kCount = 1;
};

WRNC_DEVICE f32 row(const Stats& k, u32 i) { return i == 0 ? k.mean : k.m2; }
WRNC_DEVICE f32 row(const GradStats& k, u32 i) { return i == 0 ? k.sum : k.dot; }
WRNC_DEVICE f32 row(const ChannelSum& k, u32) { return k.sum; }

WRNC_DEVICE Stats of_rows(Stats, f32 a, f32 b) { return Stats{a, b}; }
WRNC_DEVICE GradStats of_rows(GradStats, f32 a, f32 b) { return GradStats{a, b}; }
WRNC_DEVICE ChannelSum of_rows(ChannelSum, f32 a, f32) { return ChannelSum{a}; }

// join merges b into a, which stand for disjoint sets of pixels. na is the number
// of a's, share the part of b's in both. For statistics it is the formula of Chan,
// Golub and LeVeque (1979); the others just add.
WRNC_DEVICE Stats join(Stats a, Stats b, f32 na, f32 share) {
  const f32 d = b.mean - a.mean;
  return Stats{fma(d, share, a.mean), fma(d * d, na * share, a.m2 + b.m2)};
}
WRNC_DEVICE GradStats join(GradStats a, GradStats b, f32, f32) { return GradStats{a.sum + b.sum, a.dot + b.dot}; }
WRNC_DEVICE ChannelSum join(ChannelSum a, ChannelSum b, f32, f32) { return ChannelSum{a.sum + b.sum}; }

WRNC_DEVICE f32 share_of(f32 nb, f32 total) { return total > 0 ? div_(nb, total) : 0.0f; }

// ---- What a thread gathers for its V channels. value() gets 1/count.

template <class Kind, u32 V>
struct Acc;

// Sums of x - shift and of its square, where shift is the first x: they cancel
// little, and cost two operations an element.
template <u32 V>
struct Acc<Stats, V> {
  Floats<V> shift, sum, square;
  u32 count;

  WRNC_MEMBER void add(Floats<V> x) {
#pragma unroll
    for (u32 i = 0; i < V; i++) {
      if (count == 0) shift.v[i] = x.v[i];
      const f32 d = x.v[i] - shift.v[i];
      sum.v[i] += d;
      square.v[i] = fma(d, d, square.v[i]);
    }
    count++;
  }

  WRNC_MEMBER Stats value(u32 i, f32 inverse) const {
    const f32 mean = sum.v[i] * inverse;  // less the shift
    return Stats{shift.v[i] + mean, max_(0.0f, fma(-mean, sum.v[i], square.v[i]))};
  }
};

template <u32 V>
struct Acc<GradStats, V> {
  Floats<V> sum, dot;
  u32 count;

  WRNC_MEMBER void add(Floats<V> g, Floats<V> x, Floats<V> mean) {
#pragma unroll
    for (u32 i = 0; i < V; i++) {
      sum.v[i] += g.v[i];
      dot.v[i] = fma(g.v[i], x.v[i] - mean.v[i], dot.v[i]);
    }
    count++;
  }

  WRNC_MEMBER GradStats value(u32 i, f32) const { return GradStats{sum.v[i], dot.v[i]}; }
};

template <u32 V>
struct Acc<ChannelSum, V> {
  Floats<V> sum;
  u32 count;

  WRNC_MEMBER void add(Floats<V> x) {
#pragma unroll
    for (u32 i = 0; i < V; i++) sum.v[i] += x.v[i];
    count++;
  }

  WRNC_MEMBER ChannelSum value(u32 i, f32) const { return ChannelSum{sum.v[i]}; }
};

// ---- thread -> unit.

constexpr u32 kUnitGroup = 32;  // units that the first merge joins

// Columns maps the columns of a block's result to channels: runs of Run columns,
// Stride channels apart. Count is a power of two.
template <u32 Count, u32 Run, u32 Stride>
struct Columns {
  static constexpr u32 kCount = Count;
  i32 first;

  WRNC_MEMBER i32 channel(u32 column) const { return first + i32(column / Run * Stride + column % Run); }
};

// UnitReducer is what an epilogue's partials() gets at the end of a unit: write()
// merges the block's threads and stores the unit's partial.
template <class Cols, u32 V, u32 Threads>
struct UnitReducer {
  static constexpr u32 kVectors = Cols::kCount / V;                                // threads side by side
  static constexpr u32 kSlots = kVectors < 32 ? Threads / 32 : Threads / kVectors;  // left after the shuffles
  static_assert((kVectors & (kVectors - 1)) == 0 && kVectors <= Threads, "channel vectors: a power of two, a thread each");

  // Shared memory, in floats, that this and the mergers below need.
  static constexpr u32 kUnit = kSlots * (2 * Cols::kCount + kVectors), kMerge = 3 * Threads;
  static constexpr u32 kScratch = kUnit > kMerge ? kUnit : kMerge;

  Cols columns;
  f32* scratch;
  i32 unit, channels;

  template <class Kind>
  WRNC_MEMBER void write(f32* partials, const Acc<Kind, V>& acc) {
    f32 n = f32(acc.count);
    const f32 inverse = div_(1.0f, max_(n, 1.0f));
    Kind value[V];
#pragma unroll
    for (u32 i = 0; i < V; i++) value[i] = acc.value(i, inverse);
    join_lanes(value, n);

    const u32 slot = kVectors < 32 ? warp_index() : thread_index() / kVectors, vector = thread_index() % kVectors;
    constexpr u32 rows = Rows<Kind>::kCount;
    f32* const counts = scratch + kSlots * rows * Cols::kCount;
    if (slot < kSlots && (kVectors >= 32 || lane_index() < kVectors)) {
#pragma unroll
      for (u32 i = 0; i < V; i++)
#pragma unroll
        for (u32 r = 0; r < rows; r++) number(slot, r, rows, vector * V + i) = row(value[i], r);
      counts[slot * kVectors + vector] = n;
    }
    barrier();
    for (u32 column = thread_index(); column < Cols::kCount; column += Threads) {
      const i32 c = columns.channel(column);
      if (c >= channels) continue;
      const Kind sum = join_slots<Kind>(column, counts);
#pragma unroll
      for (u32 r = 0; r < rows; r++) partials[(i64(unit) * rows + r) * channels + c] = row(sum, r);
    }
    barrier();  // before the scratch is used again
  }

 private:
  WRNC_MEMBER f32& number(u32 slot, u32 r, u32 rows, u32 column) const {
    return scratch[(slot * rows + r) * Cols::kCount + column];
  }

  // join_lanes merges the lanes of a warp that own the same channels into the
  // first of them.
  template <class Kind>
  WRNC_MEMBER void join_lanes(Kind (&value)[V], f32& n) const {
#pragma unroll
    for (u32 mask = kVectors; mask < 32; mask *= 2) {
      const f32 other = shuffle_xor(n, mask), total = n + other, share = share_of(other, total);
#pragma unroll
      for (u32 i = 0; i < V; i++) {
        const f32 a = shuffle_xor(row(value[i], 0), mask);
        const f32 b = Rows<Kind>::kCount > 1 ? shuffle_xor(row(value[i], 1), mask) : 0.0f;
        value[i] = join(value[i], of_rows(Kind{}, a, b), n, share);
      }
      n = total;
    }
  }

  // join_slots merges what the warps left for a column.
  template <class Kind>
  WRNC_MEMBER Kind join_slots(u32 column, const f32* counts) const {
    constexpr u32 rows = Rows<Kind>::kCount;
    Kind sum = of_rows(Kind{}, number(0, 0, rows, column), number(0, rows - 1, rows, column));
    f32 n = counts[column / V];
#pragma unroll 4
    for (u32 slot = 1; slot < kSlots; slot++) {
      const f32 other = counts[slot * kVectors + column / V], total = n + other;
      const Kind next = of_rows(Kind{}, number(slot, 0, rows, column), number(slot, rows - 1, rows, column));
      sum = join(sum, next, n, share_of(other, total));
      n = total;
    }
    return sum;
  }
};

// ---- unit -> group -> channel.

// Gather merges partials that lie in memory, of pixels[i] pixels each: for
// statistics the same shifted sums as in Acc, with weights.
template <class Kind>
struct Gather {
  Kind sum;

  WRNC_MEMBER void add(Kind k, f32) { sum = join(sum, k, 0.0f, 0.0f); }
  WRNC_MEMBER Kind value(f32) const { return sum; }
};

template <>
struct Gather<Stats> {
  f32 m2, shift, sum, square;
  bool some;

  WRNC_MEMBER void add(Stats k, f32 n) {
    if (!some) shift = k.mean;
    some = some || n > 0;
    const f32 d = k.mean - shift;
    m2 += k.m2;
    sum = fma(n, d, sum);
    square = fma(n * d, d, square);
  }

  WRNC_MEMBER Stats value(f32 n) const {
    const f32 mean = share_of(sum, n);
    return Stats{shift + mean, m2 + max_(0.0f, fma(-mean, sum, square))};
  }
};

// Merger merges `slots` partials, those of units first, first + Span, ... of Span
// units each, for the channels of a tile: neighbouring threads have neighbouring
// channels, and kLanes threads share the partials of a channel.
template <class Grid, u32 N, u32 Threads, u32 Span>
struct Merger {
  static constexpr u32 kOwners = N < Threads ? N : Threads;
  static constexpr u32 kLanes = Threads / kOwners;
  static constexpr u32 kRounds = (N + kOwners - 1) / kOwners;

  f32* scratch;
  i32 first, slots;            // units
  i32 tile, channels, samples;  // the tile's first channel

  WRNC_MEMBER i32 channel(u32 round) const { return tile + i32(round * kOwners + thread_index() % kOwners); }
  WRNC_MEMBER bool owns(u32 round) const {
    return thread_index() < kOwners && round * kOwners + thread_index() < N && channel(round) < channels;
  }

  // merge is called by all threads; owners get the result of their channel.
  template <class Kind>
  WRNC_MEMBER Kind merge(const f32* partials, u32 round) {
    constexpr u32 rows = Rows<Kind>::kCount;
    const u32 owner = thread_index() % kOwners, lane = thread_index() / kOwners;
    const i32 c = channel(round);
    Gather<Kind> mine{};
    f32 n = 0;
    if (lane < kLanes && c < channels) {
#pragma unroll 4
      for (i32 slot = i32(lane); slot < slots; slot += i32(kLanes)) {
        const i32 unit = first + slot * i32(Span);
        const f32* const p = partials + i64(unit) * (i32(rows) * channels) + c;
        const f32 weight = Grid::pixels(unit, Span, samples);
        mine.add(of_rows(Kind{}, p[0], p[(rows - 1) * u32(channels)]), weight);
        n += weight;
      }
    }
    Kind sum = mine.value(n);
    if (kLanes == 1) return sum;

    // [lane][row][owner], and the weights.
    f32* const weights = scratch + kLanes * rows * kOwners;
    if (lane < kLanes) {
#pragma unroll
      for (u32 r = 0; r < rows; r++) scratch[(lane * rows + r) * kOwners + owner] = row(sum, r);
      weights[lane * kOwners + owner] = n;
    }
    barrier();
    if (lane == 0) {
#pragma unroll 4
      for (u32 l = 1; l < kLanes; l++) {
        const f32 other = weights[l * kOwners + owner], total = n + other;
        const f32* const p = scratch + l * rows * kOwners + owner;
        sum = join(sum, of_rows(Kind{}, p[0], p[(rows - 1) * kOwners]), n, share_of(other, total));
        n = total;
      }
    }
    barrier();
    return sum;
  }
};

// GroupReducer is given to partials() in the last block of a group: write() merges
// the group's partials into its first unit's.
template <class M>
struct GroupReducer {
  M merger;

  template <class Kind, u32 V>
  WRNC_MEMBER void write(f32* partials, const Acc<Kind, V>&) {
    for (u32 round = 0; round < M::kRounds; round++) {
      const Kind sum = merger.template merge<Kind>(partials, round);
      if (!merger.owns(round)) continue;
      f32* const p = partials + i64(merger.first) * (i32(Rows<Kind>::kCount) * merger.channels) + merger.channel(round);
#pragma unroll
      for (u32 r = 0; r < Rows<Kind>::kCount; r++) p[i32(r) * merger.channels] = row(sum, r);
    }
  }
};

// ChannelReducer is given to finish() in the last block of a tile of channels.
template <class M>
struct ChannelReducer {
  M merger;
  u32 round;

  template <class Kind>
  WRNC_MEMBER Kind merge(const f32* partials, Kind) {
    return merger.template merge<Kind>(partials, round);
  }
  WRNC_MEMBER bool owns() const { return merger.owns(round); }
  WRNC_MEMBER i32 channel() const { return merger.channel(round); }
};

// finish_channels runs after a unit's partials are written. counters: one a tile
// of channels, then one a tile for each group.
template <class Epilogue, class Grid, u32 N, u32 Threads, class Args>
WRNC_DEVICE void finish_channels(const Args& args, i32 unit, i32 tile, i32 channels, f32* scratch) {
  const i32 tiles = ceil_div(channels, i32(N)), units = Grid::count(args.n), groups = ceil_div(units, i32(kUnitGroup));
  const i32 group = unit / i32(kUnitGroup), first = group * i32(kUnitGroup), slots = imin(i32(kUnitGroup), units - first);
  u32* const counters = Epilogue::counter(args);
  if (last_block(counters + tiles * (1 + group) + tile, u32(slots))) {
    GroupReducer<Merger<Grid, N, Threads, 1>> inner{{scratch, first, slots, tile * i32(N), channels, args.n}};
    Epilogue::partials(args, typename Epilogue::Sums{}, inner);
    if (last_block(counters + tile, u32(groups))) {
      using M = Merger<Grid, N, Threads, kUnitGroup>;
      ChannelReducer<M> outer{{scratch, 0, groups, tile * i32(N), channels, args.n}, 0};
      for (; outer.round < M::kRounds; outer.round++) Epilogue::finish(args, outer);
    }
  }
}

// ---- The loop.

// drain gives each of a unit's pixels to the epilogue, y(m, column) being the
// root's result at pixel m, and writes the unit's partials.
//
// A unit that lies inside the result, as nearly all do, takes a loop without
// conditions: there the loads of several pixels can be in flight at once.
template <class Epilogue, class Grid, class Unit, u32 Threads, class Cols, class Args, class Source>
WRNC_DEVICE void drain(const Args& args, const Place& place, i32 unit, Cols columns, i32 channels, f32* scratch, Source y) {
  constexpr u32 V = Epilogue::kVec, vectors = Cols::kCount / V, lanes = Threads / vectors, volume = Unit::kVolume;
  static_assert(Cols::kCount % V == 0 && lanes > 0, "a thread owns a channel vector");
  const u32 column = thread_index() % vectors * V, lane = thread_index() / vectors;
  const i32 c = columns.channel(column);
  typename Epilogue::Sums sums{};
  if (lane < lanes && c < channels) {
    const typename Epilogue::Channel channel = Epilogue::channel(args, c);
    At at;
    if (Grid::kEven && volume % lanes == 0 && place.n + Unit::kSamples <= args.n) {
#pragma unroll 2
      for (u32 i = 0; i < volume / lanes; i++) {
        Grid::at(place, i32(lane + i * lanes), args.n, at);
        Epilogue::apply(args, channel, sums, at, c, y(lane + i * lanes, column));
      }
    } else {
#pragma unroll 1
      for (u32 m = lane; m < volume; m += lanes)
        if (Grid::at(place, i32(m), args.n, at)) Epilogue::apply(args, channel, sums, at, c, y(m, column));
    }
  }
  if constexpr (Epilogue::kReduces) {
    UnitReducer<Cols, V, Threads> reducer{columns, scratch, unit, channels};
    Epilogue::partials(args, sums, reducer);
  }
}
