#include "block.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <string>
#include <utility>
#include <vector>

#include "fiber.h"
#include "memory.h"
#include "shadow.h"
#include "shared.h"

namespace emu {

static Thread threads[kMaxThreads];
static void* scheduler;  // the stack that a block is started from

static u32 block;
static u32 alive;
static u8 warp_at[kMaxWarps];      // the warps in their order
static u8 position_of[kMaxWarps];  // and each one's place in it
static u32 ready_warps;            // bit p: the warp at position p has a thread that is ready

// What the threads wait for that are at the block's barrier.
static struct {
  u32 arrived;
  Meeting meeting;
  u32 line;
  u32 any;       // barrier_or: whether p was true
  u32* counter;  // last_block
  u32 blocks;
  u32 result;  // of the last opening: a thread may read it when others are here again
} gate;

static u64 random_state;

static u32 random_below(u32 n) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return u32((random_state >> 32) * n >> 32);
}

u32 running_block() { return block; }

void reserve_threads() { reserve_stacks(kMaxThreads); }

// put_in_order writes 0..n-1 in the launch's order.
template <class T>
static void put_in_order(T* to, u32 n) {
  for (u32 i = 0; i < n; i++) to[i] = launch.order == Order::kReverse ? n - 1 - i : i;
  if (launch.order == Order::kRandom)
    for (u32 i = n; i > 1; i--) std::swap(to[i - 1], to[random_below(i)]);
}

static u32 warp_count() { return (launch.threads + kLanes - 1) / kLanes; }

static u32 lanes_of(u32 warp) {
  const u32 rest = launch.threads - warp * kLanes;
  return rest < kLanes ? rest : kLanes;
}

// order_threads decides who runs first from here on. No thread may be ready.
static void order_threads() {
  put_in_order(warp_at, warp_count());
  for (u32 p = 0; p < warp_count(); p++) position_of[warp_at[p]] = u8(p);
  for (u32 w = 0; w < warp_count(); w++) {
    put_in_order(warps[w].lane_at, lanes_of(w));
    for (u32 p = 0; p < lanes_of(w); p++) threads[w * kLanes + warps[w].lane_at[p]].position = p;
  }
}

static void make_ready(const Thread& t) {
  warps[t.warp].ready |= 1u << t.position;
  ready_warps |= 1u << position_of[t.warp];
}

// ---- Switching.

static inline void switch_to(Thread* from, Thread* to) {
  report.counters.switches++;
  running = to;
  set_self(to->index);
  void* unused;
  emu_switch_stack(from ? &from->sp : &unused, to->sp);
}

[[noreturn]] static void leave_block() {
  running = nullptr;
  void* unused;
  emu_switch_stack(&unused, scheduler);
  __builtin_unreachable();
}

static const char* name_of(Meeting m) {
  switch (m) {
    case Meeting::kNone: return "nothing";
    case Meeting::kBarrier: return "barrier";
    case Meeting::kBarrierOr: return "barrier_or";
    case Meeting::kLastBlock: return "last_block";
    case Meeting::kShuffle: return "a shuffle";
    case Meeting::kLdmatrix: return "ldmatrix";
    case Meeting::kMmaBf16: return "mma_bf16";
    case Meeting::kMmaTf32: return "mma_tf32";
  }
  return "?";
}

// next takes the thread that is to run now: of the same warp while one is ready, so
// that what a warp uses stays in the first cache. Null if all wait.
static inline Thread* next(u32 warp) {
  if (!warps[warp].ready) {
    if (!ready_warps) return nullptr;
    warp = warp_at[__builtin_ctz(ready_warps)];
  }
  Warp& w = warps[warp];
  const u32 position = __builtin_ctz(w.ready);
  w.ready &= w.ready - 1;
  if (!w.ready) ready_warps &= ~(1u << position_of[warp]);
  return &threads[warp * kLanes + w.lane_at[position]];
}

static void open_gate();

[[noreturn]] static void deadlock() {
  // One line for each place where threads wait.
  for (u32 i = 0; i < launch.threads; i++) {
    Thread& t = threads[i];
    if (t.meeting == Meeting::kNone) continue;
    u32 here = 0;
    for (u32 k = 0; k < launch.threads; k++)
      here += threads[k].meeting == t.meeting && threads[k].line == t.line;
    running = &t;
    violate("deadlock", t.pc, "%u of %u threads wait for ever in %s at line %u", here, launch.threads, name_of(t.meeting), t.line);
  }
  report.aborted = true;
  leave_block();
}

// successor takes the thread that is to run after this one, which waits or has ended.
static inline Thread* successor() {
  const u32 warp = running->warp;
  Thread* to = next(warp);
  if (!to && gate.arrived == alive) {
    open_gate();
    to = next(warp);
  }
  if (!to) deadlock();
  return to;
}

// yield runs the others until the running thread is ready again.
static void yield() {
  Thread* from = running;
  Thread* to = successor();
  if (to != from) switch_to(from, to);
}

static void thread_main() {
  launch.run(launch.args);
  finish_copies();
  running->meeting = Meeting::kNone;
  if (--alive == 0) leave_block();
  switch_to(nullptr, successor());
  __builtin_unreachable();
}

// ---- Barriers.

// last_of_blocks takes the running block's ticket.
static bool last_of_blocks(const void* pc) {
  const uptr a = reinterpret_cast<uptr>(gate.counter);
  if (!host_range(a, sizeof(u32)) || a % sizeof(u32))
    abort_launch("last-block", pc, "the counter's address 0x%llx is not in global memory", a);
  if (global_space.writes[global_space.cell(a)] == kUnwritten)
    violate("last-block", pc, "the counter, %s, was never set to 0", describe_global(a).c_str());
  const u32 ticket = *gate.counter;
  if (ticket >= gate.blocks) {
    violate("last-block", pc, "the counter is at %u when a block comes, of %u", ticket, gate.blocks);
    return false;
  }
  publish(gate.counter);
  *gate.counter = ticket + 1;
  if (ticket + 1 < gate.blocks) return false;
  *gate.counter = 0;
  acquire(gate.counter);
  return true;
}

// open_gate releases the threads at the barrier.
static void open_gate() {
  report.counters.barriers++;
  if (alive < launch.threads) {
    const void* pc = nullptr;
    for (u32 i = 0; i < launch.threads; i++)
      if (threads[i].meeting == gate.meeting) pc = threads[i].pc;
    violate("barrier-divergence", pc, "%u of %u threads are at a barrier, the others have ended", alive, launch.threads);
  }
  gate.result = gate.meeting == Meeting::kLastBlock ? last_of_blocks(running->pc) : gate.any;
  start_interval();
  if (launch.order == Order::kRandom) order_threads();
  gate.arrived = 0;
  for (u32 i = 0; i < launch.threads; i++) {
    if (threads[i].meeting == Meeting::kNone) continue;
    threads[i].meeting = Meeting::kNone;
    make_ready(threads[i]);
  }
}

// arrive has the running thread wait at the barrier. The first one to come decides
// what the barrier is.
static void arrive(Meeting meeting, u32 line, const void* pc) {
  Thread& t = *running;
  t.meeting = meeting;
  t.line = line;
  t.pc = pc;
  if (gate.arrived++ == 0) {
    gate.meeting = meeting;
    gate.line = line;
    gate.any = 0;
  } else if (meeting != gate.meeting || line != gate.line) {
    violate("barrier-divergence", pc, "a thread is at %s of line %u, others at %s of line %u", name_of(meeting), line,
            name_of(gate.meeting), gate.line);
  }
}

// ---- Warps.

bool meet_warp(Meeting meeting, u32 line, const void* pc) {
  Thread& t = *running;
  Warp& w = warps[t.warp];
  if (w.arrived == 0) {
    w.meeting = meeting;
    w.line = line;
  } else if (w.meeting != meeting || w.line != line) {
    abort_launch("warp-divergence", pc, "a lane is at %s of line %u, others of its warp at %s of line %u", name_of(meeting), line,
                 name_of(w.meeting), w.line);
  }
  if (++w.arrived == kLanes) return true;
  t.meeting = meeting;
  t.line = line;
  t.pc = pc;
  yield();
  return false;
}

void release_warp() {
  Warp& w = warps[running->warp];
  w.arrived = 0;
  w.ready = ~(1u << running->position);
  ready_warps |= 1u << position_of[running->warp];
}

// ---- Launches.

void abort_launch(const char* check, const void* pc, const char* format, ...) {
  char text[512];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  violate(check, pc, "%s", text);
  report.aborted = true;
  leave_block();
}

static void run_block() {
  alive = launch.threads;
  gate = {};
  ready_warps = 0;
  for (u32 w = 0; w < warp_count(); w++) warps[w].ready = warps[w].arrived = 0;
  order_threads();
  for (u32 i = 0; i < launch.threads; i++) {
    Thread& t = threads[i];
    t.sp = fresh_stack(i, thread_main);
    t.index = i;
    t.warp = i / kLanes;
    t.layout = t.piece = 0;
    t.meeting = Meeting::kNone;
    t.copies.flying.clear();
    t.copies.landed = 0;
    t.copies.group = 0;
    make_ready(t);
  }
  start_block();
  start_block_shared();
  start_block_copies();
  Thread* first = next(warp_at[0]);
  running = first;
  set_self(first->index);
  emu_switch_stack(&scheduler, first->sp);
}

void run(const Launch& what) {
  launch = what;
  report = {};
  random_state = launch.seed * 0x9e3779b97f4a7c15 + 1;
  start_launch();
  start_shared(launch.shared);
  std::vector<u32> order(launch.blocks);
  put_in_order(order.data(), launch.blocks);
  for (const u32 b : order) {
    block = b;
    run_block();
    if (report.aborted) break;
  }
  block = 0;
  if (!report.aborted) finish_shared();
}

}  // namespace emu

using namespace emu;

u32 emu_thread_index() { return running->index; }
u32 emu_block_index() { return running_block(); }
u32 emu_block_count() { return launch.blocks; }

void emu_barrier(u32 line) {
  arrive(Meeting::kBarrier, line, __builtin_return_address(0));
  yield();
}

u32 emu_barrier_or(u32 p, u32 line) {
  arrive(Meeting::kBarrierOr, line, __builtin_return_address(0));
  gate.any |= p;
  yield();
  return gate.result;
}

u32 emu_last_block(u32* counter, u32 blocks, u32 line) {
  const void* pc = __builtin_return_address(0);
  arrive(Meeting::kLastBlock, line, pc);
  if (gate.arrived == 1) {
    gate.counter = counter;
    gate.blocks = blocks;
  } else if (gate.counter != counter || gate.blocks != blocks) {
    violate("last-block", pc, "threads of a block give last_block different counters");
  }
  yield();
  return gate.result;
}
