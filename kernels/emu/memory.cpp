#include "memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <map>

namespace emu {

// Addresses cost nothing until they are used. A megabyte between two allocations
// is more than a kernel of ours strays by a wrong row, tap or channel.
constexpr uptr kGlobalBytes = uptr(32) << 30, kRedZone = 1 << 20, kAlign = 256;

static std::map<uptr, Allocation> allocations;
static uptr top;
static u32 allocated;

static void* reserve_range(uptr bytes) {
  void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) {
    perror("emu: cannot reserve addresses");
    exit(1);
  }
  return p;
}

// An access may begin in the space and end behind it.
void Space::reserve(uptr size) {
  constexpr uptr kBehind = 4096;
  bytes = size;
  base = reinterpret_cast<uptr>(reserve_range(size + kBehind));
  writes = static_cast<Cell*>(reserve_range((size + kBehind) / 2 * sizeof(Cell)));
  reads = static_cast<Cell*>(reserve_range((size + kBehind) / 2 * sizeof(Cell)));
}

void Space::mark(uptr a, uptr n, Cell state) {
  const u64 first = cell(a), cells = cell(a + n + 1) - first;
  for (u64 i = first; i < first + cells; i++) writes[i] = state;
  memset(reads + first, 0, cells * sizeof(Cell));
}

void reserve_memory() {
  global_space.reserve(kGlobalBytes);
  top = global_space.base + kRedZone;
}

static uptr round_up(uptr n, uptr to) { return (n + to - 1) / to * to; }

uptr allocate(u64 bytes, bool initialised) {
  const uptr end = global_space.base + global_space.bytes;
  if (bytes > end - top || end - top - bytes < 2 * kRedZone) return 0;
  const uptr base = top;
  top = round_up(base + bytes + kRedZone, kAlign);
  allocations[base] = {base, bytes, allocated++};
  poison(base, bytes);
  if (initialised) host_wrote(base, bytes);
  return base;
}

// Zeroed cells belong to nobody, so giving pages back to the system is also what
// makes later accesses to them violations.
static void give_back(void* p, uptr bytes) {
  constexpr uptr kPage = 4096;
  const uptr a = reinterpret_cast<uptr>(p), first = round_up(a, kPage), last = (a + bytes) / kPage * kPage;
  if (first >= last) {
    memset(p, 0, bytes);
    return;
  }
  memset(p, 0, first - a);
  memset(reinterpret_cast<void*>(last), 0, a + bytes - last);
  madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
}

bool release(uptr base) {
  const auto it = allocations.find(base);
  if (it == allocations.end()) return false;
  const uptr bytes = it->second.bytes, cells = (bytes + 1) / 2 * sizeof(Cell);
  give_back(reinterpret_cast<void*>(base), bytes);
  give_back(global_space.writes + global_space.cell(base), cells);
  give_back(global_space.reads + global_space.cell(base), cells);
  allocations.erase(it);
  // What lies behind the last allocation may be used again.
  const uptr end = allocations.empty() ? global_space.base : allocations.rbegin()->first + allocations.rbegin()->second.bytes;
  top = round_up(end + kRedZone, kAlign);
  return true;
}

// holder returns the last allocation that begins at or before a.
static const Allocation* holder(uptr a) {
  auto it = allocations.upper_bound(a);
  return it == allocations.begin() ? nullptr : &(--it)->second;
}

u8* host_range(uptr a, u64 bytes) {
  const Allocation* m = holder(a);
  if (!m || a - m->base > m->bytes || bytes > m->bytes - (a - m->base)) return nullptr;
  return reinterpret_cast<u8*>(a);
}

void host_wrote(uptr a, u64 bytes) {
  if (bytes) global_space.mark(a, bytes, kFromHost);
}

void poison(uptr a, u64 bytes) {
  memset(reinterpret_cast<void*>(a), 0xff, bytes);
  if (bytes) global_space.mark(a, bytes, kUnwritten);
}

std::string describe_global(uptr a) {
  char text[160];
  const Allocation* before = holder(a);
  if (before && a - before->base < before->bytes) {
    snprintf(text, sizeof text, "byte %llu of allocation %u (%llu bytes)", a - before->base, before->number, before->bytes);
    return text;
  }
  const auto after = allocations.upper_bound(a);
  if (after != allocations.end() && (!before || after->first - a < a - (before->base + before->bytes)))
    snprintf(text, sizeof text, "%llu bytes before allocation %u (%llu bytes)", after->first - a, after->second.number,
             after->second.bytes);
  else if (before)
    snprintf(text, sizeof text, "%llu bytes after the end of allocation %u (%llu bytes)", a - before->base - before->bytes,
             before->number, before->bytes);
  else
    snprintf(text, sizeof text, "an address in no allocation");
  return text;
}

void forget_launches() {
  for (const auto& [base, m] : allocations) {
    const u64 first = global_space.cell(base), cells = (m.bytes + 1) / 2;
    for (u64 i = first; i < first + cells; i++)
      if (global_space.writes[i] > kFromHost) global_space.writes[i] = kFromHost;
    memset(global_space.reads + first, 0, cells * sizeof(Cell));
  }
}

}  // namespace emu
