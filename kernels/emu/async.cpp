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

static void move(const AsyncCopy& c) {
  if (c.from)
    memcpy(c.to, c.from, c.bytes);
  else
    memset(c.to, 0, c.bytes);
}

static Cell* cells_of(const AsyncCopy& c) { return shared_space.writes + shared_space.cell(reinterpret_cast<uptr>(c.to)); }

// The checks of an access of one of the three sizes.
template <bool kWrite>
static void access_sized(uptr a, u32 bytes, const void* pc) {
  if (a % bytes) misaligned(a, bytes, kWrite, pc);
  switch (bytes) {
    case 4: return access<4, kWrite>(a, pc);
    case 8: return access<8, kWrite>(a, pc);
    default: return access<16, kWrite>(a, pc);
  }
}

static void start(void* shared, const void* global, u32 bytes, bool valid, const void* pc) {
  report.counters.copies++;
  const uptr to = reinterpret_cast<uptr>(shared), from = reinterpret_cast<uptr>(global);
  if (to - window_base >= kWindow) {
    violate("async-address", pc, "the destination 0x%llx of an asynchronous copy is not in shared memory", to);
    return;
  }
  if (valid && !global_space.holds(from)) {
    violate("async-address", pc, "the source 0x%llx of an asynchronous copy is not in global memory", from);
    return;
  }
  if (valid) access_sized<false>(from, bytes, pc);
  access_sized<true>(to, bytes, pc);
  // An access that was refused has not been recorded.
  if (shared_space.writes[shared_space.cell(to)] != clock_.self) return;

  AsyncCopy c = {static_cast<u8*>(shared), valid ? static_cast<const u8*>(global) : nullptr, bytes, running->copies.group, pc, {}};
  if (valid) memcpy(c.at_start, global, bytes);
  if (launch.early) move(c);
  Cell* cells = cells_of(c);
  for (u32 i = 0; i < bytes / 2; i++) cells[i] = kInFlight;
  running->copies.flying.push_back(c);
  in_flight++;
}

static void land(const AsyncCopy& c) {
  if (c.from && memcmp(c.at_start, c.from, c.bytes))
    violate("async-source", c.pc, "the source of an asynchronous copy, %s, was written before the copy was waited for",
            describe_global(reinterpret_cast<uptr>(c.from)).c_str());
  if (!launch.early) move(c);
  Cell* cells = cells_of(c);
  for (u32 i = 0; i < c.bytes / 2; i++) cells[i] = clock_.self;
  in_flight--;
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
  if (copies.landed < copies.flying.size())
    violate("async-pending", copies.flying[copies.landed].pc, "a thread ends with %zu asynchronous copies in flight",
            copies.flying.size() - copies.landed);
}

}  // namespace emu

using namespace emu;

void emu_cp_async(void* shared, const void* global, u32 bytes, u32 valid) {
  start(shared, global, bytes, valid != 0, __builtin_return_address(0));
}

void emu_cp_async_commit() { running->copies.group++; }

void emu_cp_async_wait(u32 groups) { wait(groups); }
