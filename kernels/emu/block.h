// A block of threads and their schedule.
#pragma once

#include "abi.cuh"
#include "async.h"
#include "report.h"

namespace emu {

constexpr u32 kMaxThreads = 1024, kLanes = 32, kMaxWarps = kMaxThreads / kLanes;

enum class Meeting : u8 { kNone, kBarrier, kBarrierOr, kLastBlock, kShuffle, kLdmatrix, kMmaBf16, kMmaTf32 };

struct Thread {
  void* sp;
  u32 index, warp, position;  // position: its place in the warp's order
  u32 layout, piece;          // how far it is in taking shared memory
  // Where it waits.
  Meeting meeting;
  u32 line;
  const void* pc;
  AsyncCopies copies;
};

struct Warp {
  // Bit p stands for the thread at position p of the order, bit 0 runs first.
  u32 ready;
  u32 arrived;  // how many lanes wait for the others
  u8 lane_at[kLanes];
  Meeting meeting;
  u32 line;
  // What the lanes bring to a meeting and take from it.
  alignas(32) emu_u32x4 a[kLanes];
  alignas(32) emu_f32x4 d[kLanes];
  alignas(32) emu_u32x2 b[kLanes];
  const u8* row[kLanes];
};

enum class Order : u32 { kForward, kReverse, kRandom };

struct Launch {
  void (*run)(const void* args);
  const void* args;
  u32 blocks, threads, shared;
  Order order;
  u64 seed;
  bool early;  // asynchronous copies land when they are issued
};
inline Launch launch;

inline Thread* running;  // null outside of a block

u32 running_block();
inline u32 running_thread() { return running ? running->index : 0; }

void reserve_threads();

// run executes a launch. What it did is in `report`.
void run(const Launch& launch);

// abort_launch ends the launch with a violation after which it cannot go on.
[[noreturn]] __attribute__((format(printf, 3, 4))) void abort_launch(const char* check, const void* pc, const char* format, ...);

// private_memory tells whether an address is a thread's own, or a constant.
bool private_memory(u64 address);

// meet_warp has the running thread wait until all lanes of its warp have called it.
// The last one returns true, with the others still waiting: it does the work, and
// then calls release_warp.
bool meet_warp(Meeting meeting, u32 line, const void* pc);
void release_warp();

inline Warp warps[kMaxWarps];

}  // namespace emu
