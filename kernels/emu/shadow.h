// Shadow memory: for every two bytes that a kernel can reach, who wrote them last
// and who read them last, and the checks of an access against that.
//
// Blocks run one after another, so time can be counted: an *interval* is the time
// of one block between two barriers, and intervals are numbered through. A number
// therefore says which block and where in it. Two accesses to the same bytes, of
// which one is a write, are ordered if
//   - one thread made both, or
//   - they belong to one block and to different intervals, or
//   - last_block ordered the blocks (block.cpp), or
//   - they belong to different launches.
// Any other pair is a race, whatever order the threads happened to run in. Warp
// instructions order nothing: neither a shuffle nor an mma is a fence.
//
// A cell remembers one access, so a reader replaces the one of an earlier interval,
// and for several in the same interval it only says that there were several. A race
// is missed if its one party is a read that has been replaced.
#pragma once

#include "abi.cuh"
#include "fiber.h"
#include "report.h"

namespace emu {

using uptr = u64;

// Cell is the interval, the thread, and which of the two bytes. It is signed
// because AVX2 compares signed numbers only.
using Cell = i32;
constexpr u32 kIntervalShift = 13;
constexpr i32 kIntervals = 1 << (31 - kIntervalShift);
constexpr Cell kThreadBits = 0x7ff << 2, kByteBits = 3;
constexpr Cell kManyThreads = kThreadBits | kByteBits;  // no thread has this number

// States of the cells of writes that are no access by a kernel; interval 0 has none.
constexpr Cell kOutside = 0;    // belongs to nobody
constexpr Cell kInFlight = 1;   // a copy that nobody has waited for writes it
constexpr Cell kUnwritten = 2;  // may be written, not read
constexpr Cell kFromHost = 3;   // written before the launch

// Clock says when and who: what the cells of an access are compared with.
struct Clock {
  Cell self;      // what an access leaves
  Cell several;   // the same for several threads
  Cell interval;  // the greatest cell from before this interval,
  Cell block;     // before this block's first interval,
  Cell launch;    // before this launch's,
  Cell layout;    // and before the interval in which the current Smem began
};
inline Clock now;

// set_self turns the clock to another thread of the block.
inline void set_self(u32 thread) { now.self = (now.interval + 1) | Cell(thread) << 2 | kByteBits; }

// Space is a range of addresses with its cells.
struct Space {
  uptr base = 0, bytes = 0;
  Cell* writes = nullptr;
  Cell* reads = nullptr;

  void reserve(uptr size);
  bool holds(uptr a) const { return a - base < bytes; }
  u64 cell(uptr a) const { return (a - base) / 2; }
  void mark(uptr a, uptr n, Cell state);  // n bytes from a: state for writes, no reads
};
inline Space global_space, shared_space;

// The part of shared_space that the current Smem uses.
inline uptr window_base;
constexpr uptr kWindow = 1 << 20;

// ---- Slow paths: each reports what is wrong with an access that looks wrong, and
// returns whether its cells may be updated.

bool judge_global(uptr a, u32 bytes, bool write, const void* pc);
bool judge_shared(uptr a, u32 bytes, bool write, const void* pc);
bool judge_elsewhere(uptr a, u32 bytes, bool write, const void* pc);
void misaligned(uptr a, u32 bytes, bool write, const void* pc);

// check_readonly reports a load that a GPU may serve from a cache which no write
// reaches, if the launch has written the bytes.
void check_readonly(uptr a, u32 bytes, const void* pc);
// check_global reports a pointer that is said to point to global memory.
void check_global(uptr a, const void* pc);

// ---- Fast paths. They look at all cells of an access at once.

template <u32 N>
struct Cells {
  typedef Cell type __attribute__((vector_size(N * sizeof(Cell))));
  typedef Cell unaligned __attribute__((vector_size(N * sizeof(Cell)), aligned(sizeof(Cell))));
};

template <u32 N>
inline typename Cells<N>::type load_cells(const Cell* p) {
  return *reinterpret_cast<const typename Cells<N>::unaligned*>(p);
}

template <u32 N>
inline void store_cells(Cell* p, typename Cells<N>::type v) {
  *reinterpret_cast<typename Cells<N>::unaligned*>(p) = v;
}

// any tells whether a comparison was true somewhere.
template <class Mask>
inline bool any(Mask m) {
  if constexpr (sizeof(Mask) == 32) {
    typedef long long Quads __attribute__((vector_size(32)));
    return !__builtin_ia32_ptestz256((Quads)m, (Quads)m);
  } else if constexpr (sizeof(Mask) == 16) {
    typedef long long Quads __attribute__((vector_size(16)));
    return !__builtin_ia32_ptestz128((Quads)m, (Quads)m);
  } else if constexpr (sizeof(Mask) == 8) {
    u64 bits;
    __builtin_memcpy(&bits, &m, sizeof bits);
    return bits != 0;
  } else {
    return m[0] != 0;
  }
}

// of_thread is true of cells that another thread left in this interval.
template <class V>
inline auto of_thread(V c) {
  return (c > now.interval) & (((c ^ now.self) & kThreadBits) > 0);
}

// of_block is true of cells that another block left in this launch.
template <class V>
inline auto of_block(V c) {
  return (c > now.launch) & (c <= now.block);
}

template <u32 N, bool kWrite>
inline bool suspicious_shared(typename Cells<N>::type w, typename Cells<N>::type r) {
  if constexpr (kWrite)
    return any((w <= kInFlight) | of_thread(w) | of_thread(r));
  else
    return any((w <= now.layout) | of_thread(w));
}

template <u32 N, bool kWrite>
inline bool suspicious_global(typename Cells<N>::type w, typename Cells<N>::type r) {
  if constexpr (kWrite)
    return any((w == kOutside) | of_thread(w) | of_block(w) | of_thread(r) | of_block(r));
  else
    return any((w <= kUnwritten) | of_thread(w) | of_block(w));
}

template <u32 N, bool kWrite>
inline void record_shared(u64 i, typename Cells<N>::type r) {
  const typename Cells<N>::type self = now.self - typename Cells<N>::type{};
  if constexpr (kWrite)
    store_cells<N>(shared_space.writes + i, self);
  else
    store_cells<N>(shared_space.reads + i, of_thread(r) ? now.several : self);
}

// Another block's read is worth more than this one: it is what a write of any block
// but its own races with.
template <u32 N, bool kWrite>
inline void record_global(u64 i, typename Cells<N>::type r) {
  const typename Cells<N>::type self = now.self - typename Cells<N>::type{};
  if constexpr (kWrite)
    store_cells<N>(global_space.writes + i, self);
  else
    store_cells<N>(global_space.reads + i, of_block(r) ? r : of_thread(r) ? now.several : self);
}

// The slow halves are functions of their own, so that the fast ones need no stack.

template <u32 N, bool kWrite>
__attribute__((noinline, cold)) bool second_look_shared(uptr a, const void* pc) {
  if (!judge_shared(a, 2 * N, kWrite, pc)) return false;
  const u64 i = shared_space.cell(a);
  record_shared<N, kWrite>(i, load_cells<N>(shared_space.reads + i));
  return true;
}

template <u32 N, bool kWrite>
__attribute__((noinline, cold)) bool second_look_global(uptr a, const void* pc) {
  if (!judge_global(a, 2 * N, kWrite, pc)) return false;
  const u64 i = global_space.cell(a);
  record_global<N, kWrite>(i, load_cells<N>(global_space.reads + i));
  return true;
}

// access checks one access of 2, 4, 8 or 16 bytes and records it. It returns false
// if the bytes are not to be touched.
template <u32 bytes, bool kWrite>
inline __attribute__((always_inline)) bool access(uptr a, const void* pc) {
  constexpr u32 N = bytes / 2;
  report.counters.accesses++;
  if (a - window_base < kWindow) {
    const u64 i = shared_space.cell(a);
    const auto w = load_cells<N>(shared_space.writes + i), r = load_cells<N>(shared_space.reads + i);
    if (__builtin_expect(suspicious_shared<N, kWrite>(w, r), false)) return second_look_shared<N, kWrite>(a, pc);
    record_shared<N, kWrite>(i, r);
    return true;
  }
  if (global_space.holds(a)) {
    const u64 i = global_space.cell(a);
    const auto w = load_cells<N>(global_space.writes + i), r = load_cells<N>(global_space.reads + i);
    if (__builtin_expect(suspicious_global<N, kWrite>(w, r), false)) return second_look_global<N, kWrite>(a, pc);
    record_global<N, kWrite>(i, r);
    return true;
  }
  return on_a_stack(a) || judge_elsewhere(a, bytes, kWrite, pc);
}

// access_bytes does the same for a single byte, or for any other number of bytes.
void access_bytes(uptr a, uptr bytes, bool write, const void* pc);

// ---- Time.

void start_launch();
void start_block();
void start_interval();

// publish makes the running block's past available through a counter; acquire
// orders all that was published there before this block's future.
void publish(const u32* counter);
void acquire(const u32* counter);

}  // namespace emu
