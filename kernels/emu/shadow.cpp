#include "shadow.h"

#include <stdlib.h>

#include <map>
#include <vector>

#include "block.h"
#include "memory.h"
#include "shared.h"

namespace emu {

// ---- Time.

static i32 interval;  // the number of the running one

// A block's first interval finds the block that a cell belongs to; blocks are in
// the order of execution, which `first` ascends in.
struct Past {
  u32 block;
  i32 first;
  i32 ordered_before;  // what it did before this interval is ordered before the running block
};
static std::vector<Past> pasts;
static bool any_ordered;

// What blocks published through a counter: which (an index of pasts), and up to
// which interval.
struct Published {
  size_t past;
  i32 before;
};
static std::map<const u32*, std::vector<Published>> published;

// A block may take as many intervals as this; fewer left, and they are renumbered.
// Renumbering forgets which block did what, so it waits until numbers are scarce.
constexpr i32 kIntervalsOfBlock = kIntervals / 8;

static void renumber_if_scarce() {
  if (interval + kIntervalsOfBlock < kIntervals) return;
  forget_launches();
  forget_blocks();
  pasts.clear();
  published.clear();
  interval = 0;
  now.launch = (1 << kIntervalShift) - 1;
}

static void next_interval() {
  const Cell first = ++interval << kIntervalShift;
  now.interval = first - 1;
  now.several = first | kManyThreads;
  set_self(running_thread());
}

void start_launch() {
  renumber_if_scarce();
  pasts.clear();
  published.clear();
  next_interval();
  now.launch = now.interval;
}

void start_block() {
  renumber_if_scarce();
  next_interval();
  if (any_ordered)
    for (Past& p : pasts) p.ordered_before = 0;
  any_ordered = false;
  pasts.push_back({running_block(), interval, 0});
  now.block = now.layout = now.interval;
}

void start_interval() {
  if (interval - pasts.back().first == kIntervalsOfBlock)
    abort_launch("too-long", nullptr, "a block with more than %d barriers", kIntervalsOfBlock);
  next_interval();
}

static Past& past_of(Cell c) {
  const i32 when = c >> kIntervalShift;
  size_t i = pasts.size() - 1;
  for (size_t low = 0; low < i;) {
    const size_t middle = (low + i + 1) / 2;
    if (pasts[middle].first <= when)
      low = middle;
    else
      i = middle - 1;
  }
  return pasts[i];
}

// ordered_block tells whether last_block ordered what another block did in a cell.
static bool ordered_block(Cell c) { return (c >> kIntervalShift) < past_of(c).ordered_before; }

void publish(const u32* counter) { published[counter].push_back({pasts.size() - 1, interval + 1}); }

void acquire(const u32* counter) {
  any_ordered = true;
  for (const Published& p : published[counter])
    if (pasts[p.past].ordered_before < p.before) pasts[p.past].ordered_before = p.before;
  published.erase(counter);
}

// ---- What is wrong with an access.

static const char* verb(bool write) { return write ? "write" : "read"; }

// who names the thread that left a cell.
static std::string who(Cell c) {
  const Cell thread = c & kThreadBits;
  std::string name = thread == (kManyThreads & kThreadBits) ? "several threads" : "thread " + std::to_string(thread >> 2);
  if (c <= now.block) name = "block " + std::to_string(past_of(c).block) + " " + name;
  return name;
}

// race tells whether the accesses of a cell and of this thread are unordered.
static bool race(Cell c, Cell bytes) {
  if (!(c & bytes)) return false;
  if (c > now.interval) return ((c ^ now.self) & kThreadBits) != 0;
  return c > now.launch && c <= now.block && !ordered_block(c);
}

using Describe = std::string(uptr);

static void report_race(Cell c, bool was_write, uptr a, u32 bytes, bool write, Describe where, const void* pc) {
  if (known("race", pc)) return;
  violate("race", pc, "%s of %u bytes at %s: %s %s it, and %s", verb(write), bytes, where(a).c_str(), who(c).c_str(),
          was_write ? "wrote" : "read", c <= now.block ? "nothing orders the blocks" : "no barrier lies between");
}

// report_access reports what the state of a cell forbids.
static void report_access(const char* check, uptr a, u32 bytes, bool write, Describe where, const char* why, const void* pc) {
  if (known(check, pc)) return;
  violate(check, pc, "%s of %u bytes at %s%s", verb(write), bytes, where(a).c_str(), why);
}

static bool judge_global_cells(uptr a, u32 bytes, Cell parts, bool write, const void* pc) {
  const u64 first = global_space.cell(a), last = global_space.cell(a + bytes - 1);
  for (u64 i = first; i <= last; i++) {
    const Cell w = global_space.writes[i], r = global_space.reads[i];
    if (w == kOutside) {
      report_access("global-oob", global_space.base + 2 * i, bytes, write, describe_global, "", pc);
      return false;
    }
    if (w == kUnwritten) {
      if (write) continue;
      report_access("global-uninit", a, bytes, write, describe_global, ", which nobody has written", pc);
      return true;
    }
    const bool by_write = race(w, parts);
    if (by_write || (write && race(r, parts))) {
      report_race(by_write ? w : r, by_write, a, bytes, write, describe_global, pc);
      return true;
    }
  }
  return true;
}

bool judge_global(uptr a, u32 bytes, bool write, const void* pc) {
  return judge_global_cells(a, bytes, kByteBits, write, pc);
}

static bool judge_shared_cells(uptr a, u32 bytes, Cell parts, bool write, const void* pc) {
  const u64 first = shared_space.cell(a), last = shared_space.cell(a + bytes - 1);
  for (u64 i = first; i <= last; i++) {
    const Cell w = shared_space.writes[i], r = shared_space.reads[i];
    if (w == kOutside) {
      report_access("shared-oob", shared_space.base + 2 * i, bytes, write, describe_shared, "", pc);
      return false;
    }
    if (w == kInFlight) {
      report_access("async-pending", a, bytes, write, describe_shared, ", which a copy in flight writes", pc);
      return false;
    }
    if (!write && w <= now.layout) {
      report_access("shared-uninit", a, bytes, write, describe_shared, ", which this block has not written", pc);
      return true;
    }
    const bool by_write = w > now.layout && race(w, parts);
    if (by_write || (write && r > now.layout && race(r, parts))) {
      report_race(by_write ? w : r, by_write, a, bytes, write, describe_shared, pc);
      return true;
    }
  }
  return true;
}

bool judge_shared(uptr a, u32 bytes, bool write, const void* pc) {
  return judge_shared_cells(a, bytes, kByteBits, write, pc);
}

bool judge_elsewhere(uptr a, u32 bytes, bool write, const void* pc) {
  if (private_memory(a)) return true;
  if (shared_space.holds(a)) {
    // On a GPU the new Smem is the same bytes. If it began since the last barrier, the
    // fault is that it did not wait for this thread.
    report_access(smem_began_now() ? "race" : "shared-oob", a, bytes, write, describe_shared, "", pc);
    return false;
  }
  // Going on would end the process.
  abort_launch("global-oob", pc, "%s of %u bytes at 0x%llx, which is no memory of the kernel", verb(write), bytes, a);
}

void check_readonly(uptr a, u32 bytes, const void* pc) {
  if (!global_space.holds(a)) {
    violate("readonly", pc, "load_readonly at 0x%llx, which is not in global memory", a);
    return;
  }
  for (u64 i = global_space.cell(a); i <= global_space.cell(a + bytes - 1); i++)
    if (global_space.writes[i] > now.launch)
      return report_access("readonly", a, bytes, false, describe_global, ", which this launch has written", pc);
}

void check_global(uptr a, const void* pc) {
  if (!global_space.holds(a)) violate("not-global", pc, "global() of 0x%llx, which is not in global memory", a);
}

void misaligned(uptr a, u32 bytes, bool write, const void* pc) {
  if (!global_space.holds(a) && !shared_space.holds(a)) return;
  const std::string where = global_space.holds(a) ? describe_global(a) : describe_shared(a);
  // This machine's wide accesses need the same alignment: going on could end the process.
  abort_launch("misaligned", pc, "%s of %u bytes at %s: the address is 0x%llx", verb(write), bytes, where.c_str(), a);
}

// access_byte checks one byte. Its cell keeps one thread, so of two neighbouring
// bytes that two threads write, the other half's thread is forgotten; that misses a
// race at worst, and reports none that is not there.
static void access_byte(uptr a, bool write, const void* pc) {
  const Cell part = a % 2 ? 2 : 1, self = (now.self & ~kByteBits) | part;
  const bool global = global_space.holds(a);
  if (!global && a - window_base >= kWindow) {
    judge_elsewhere(a, 1, write, pc);
    return;
  }
  if (!(global ? judge_global_cells : judge_shared_cells)(a, 1, part, write, pc)) return;
  Space& space = global ? global_space : shared_space;
  Cell& c = (write ? space.writes : space.reads)[space.cell(a)];
  // The halves of one thread join; another thread's half gives way.
  c = (c & ~kByteBits) == (self & ~kByteBits) ? c | part : self;
}

void access_bytes(uptr a, uptr bytes, bool write, const void* pc) {
  report.counters.accesses++;
  if (on_a_stack(a)) return;
  const uptr end = a + bytes;
  if (a % 2 && a < end) access_byte(a++, write, pc);
  for (; a + 2 <= end; a += 2) write ? access<2, true>(a, pc) : access<2, false>(a, pc);
  if (a < end) access_byte(a, write, pc);
}

}  // namespace emu

void emu_load_readonly(const void* global, u32 bytes) {
  emu::check_readonly(reinterpret_cast<emu::uptr>(global), bytes, __builtin_return_address(0));
}

void emu_global(const void* p) { emu::check_global(reinterpret_cast<emu::uptr>(p), __builtin_return_address(0)); }
