#include "async.h"

#include <string.h>

#include "block.h"
#include "memory.h"
#include "shadow.h"
#include "shared.h"

namespace emu {

static u64 in_flight;

bool copies_in_flight() { return in_flight > 0; }

void start_block_copies() { in_flight = 0; }

template <u32 bytes>
static inline void move(const AsyncCopy& c) {
  if (c.from)
    memcpy(c.to, c.from, bytes);
  else
    memset(c.to, 0, bytes);
}

template <u32 bytes>
static inline void mark(const AsyncCopy& c, Cell state) {
  Cell* cells = shared_space.writes + shared_space.cell(reinterpret_cast<uptr>(c.to));
  for (u32 i = 0; i < bytes / 2; i++) cells[i] = state;
}

template <u32 bytes>
static void start(void* shared, const void* global, bool valid, const void* pc) {
  report.counters.copies++;
  const uptr to = reinterpret_cast<uptr>(shared), from = reinterpret_cast<uptr>(global);
  if (to - window_base >= kWindow) {
    violate("async-address", pc, "the destination 0x%llx of an asynchronous copy is not in the current Smem", to);
    return;
  }
  if (valid && !global_space.holds(from)) {
    violate("async-address", pc, "the source 0x%llx of an asynchronous copy is not in global memory", from);
    return;
  }
  if (to % bytes) misaligned(to, bytes, true, pc);
  if (valid && from % bytes) misaligned(from, bytes, false, pc);
  if (valid && !access<bytes, false>(from, pc)) return;
  if (!access<bytes, true>(to, pc)) return;

  AsyncCopies& copies = running->copies;
  const AsyncCopy c = {static_cast<u8*>(shared), valid ? static_cast<const u8*>(global) : nullptr, bytes, copies.group, pc};
  mark<bytes>(c, kInFlight);
  copies.flying.push_back(c);
  if (valid) memcpy(copies.flying.back().at_start, global, bytes);
  if (launch.early) move<bytes>(c);
  in_flight++;
}

template <u32 bytes>
static void land(const AsyncCopy& c) {
  if (c.from && memcmp(c.at_start, c.from, bytes))
    violate("async-source", c.pc, "the source of an asynchronous copy, %s, was written before the copy was waited for",
            describe_global(reinterpret_cast<uptr>(c.from)).c_str());
  if (!launch.early) move<bytes>(c);
  mark<bytes>(c, now.self);
  in_flight--;
}

static void land(const AsyncCopy& c) {
  switch (c.bytes) {
    case 4: return land<4>(c);
    case 8: return land<8>(c);
    case 16: return land<16>(c);
  }
}

static void wait(u32 groups) {
  AsyncCopies& copies = running->copies;
  while (copies.landed < copies.flying.size() && copies.flying[copies.landed].group + groups < copies.group)
    land(copies.flying[copies.landed++]);
  if (copies.landed == copies.flying.size()) {
    copies.flying.clear();
    copies.landed = 0;
  }
}

void finish_copies() {
  AsyncCopies& copies = running->copies;
  if (copies.landed == copies.flying.size()) return;
  violate("async-pending", copies.flying[copies.landed].pc, "a thread ends with %zu asynchronous copies in flight",
          copies.flying.size() - copies.landed);
  copies.group++;  // close the open one, too
  wait(0);         // so that the next block finds nothing in flight
}

}  // namespace emu

using namespace emu;

void emu_cp_async(void* shared, const void* global, u32 bytes, u32 valid) {
  const void* pc = __builtin_return_address(0);
  switch (bytes) {
    case 4: return start<4>(shared, global, valid, pc);
    case 8: return start<8>(shared, global, valid, pc);
    case 16: return start<16>(shared, global, valid, pc);
  }
}

void emu_cp_async_commit() { running->copies.group++; }

void emu_cp_async_wait(u32 groups) { wait(groups); }
