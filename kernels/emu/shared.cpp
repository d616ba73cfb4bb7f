#include "shared.h"

#include <stdio.h>
#include <string.h>

#include <vector>

#include "async.h"
#include "block.h"

namespace emu {

// Pieces lie this far apart, and from the borders of their Smem's window.
constexpr uptr kGap = 4096 + 16;
constexpr u32 kLayouts = 8;

struct Piece {
  uptr base;
  u32 bytes;
  bool accessed;  // by a block of this launch that forget_blocks has forgotten
};

// Layout is one Smem of a kernel. It keeps its pieces from block to block: as long
// as the blocks take the same ones, their cells need no marking.
struct Layout {
  u32 total = 0;
  u32 used = 0;      // as a GPU counts, without gaps
  size_t taken = 0;  // pieces, by the running block
  std::vector<Piece> pieces;
};

static Layout layouts[kLayouts];
static u32 current;    // how many the running block has begun
static u32 launched;   // the launch's bytes
static u32 greatest;   // the greatest total of any Smem

static uptr window_of(u32 layout) { return shared_space.base + layout * kWindow; }

void reserve_shared() { shared_space.reserve(kLayouts * kWindow); }

static void drop_pieces(u32 layout, size_t from) {
  Layout& l = layouts[layout];
  for (size_t i = from; i < l.pieces.size(); i++) shared_space.mark(l.pieces[i].base, l.pieces[i].bytes, kOutside);
  if (from < l.pieces.size()) l.pieces.resize(from);
}

void start_shared(u32 bytes) {
  for (u32 i = 0; i < kLayouts; i++) drop_pieces(i, 0);
  launched = bytes;
  greatest = 0;
}

void start_block_shared() {
  current = 0;
  window_base = window_of(0);
}

bool smem_began_now() { return current > 1 && now.layout == now.interval; }

static bool accessed(const Piece& p) {
  if (p.accessed) return true;
  const u64 first = shared_space.cell(p.base), cells = (p.bytes + 1) / 2;
  for (u64 i = first; i < first + cells; i++)
    if (shared_space.writes[i] == kInFlight || shared_space.writes[i] > now.launch || shared_space.reads[i] > now.launch) return true;
  return false;
}

void forget_blocks() {
  for (Layout& l : layouts)
    for (Piece& p : l.pieces) {
      p.accessed = accessed(p);
      shared_space.mark(p.base, p.bytes, kUnwritten);
    }
}

void finish_shared() {
  if (greatest != launched)
    violate("smem-size", nullptr, "the launch has %u bytes of shared memory, the kernel's Smem %u", launched, greatest);
  for (u32 i = 0; i < kLayouts; i++) {
    const Layout& l = layouts[i];
    if (!l.pieces.empty() && l.used < l.total)
      violate("smem-size", nullptr, "Smem %u has %u bytes, the pieces taken from it %u", i, l.total, l.used);
    for (size_t k = 0; k < l.pieces.size(); k++)
      if (!accessed(l.pieces[k]))
        violate("smem-unused", nullptr, "piece %zu of Smem %u (%u bytes) was never accessed", k, i, l.pieces[k].bytes);
  }
}

std::string describe_shared(uptr a) {
  char text[160];
  const u32 layout = u32((a - shared_space.base) / kWindow);
  const char* stale = window_of(layout) == window_base ? "" : ", which another Smem has replaced";
  const Piece* nearest = nullptr;
  size_t number = 0;
  for (size_t i = 0; i < layouts[layout].pieces.size(); i++) {
    const Piece& p = layouts[layout].pieces[i];
    if (p.base > a && a + kGap / 2 < p.base) break;
    nearest = &p;
    number = i;
  }
  if (!nearest)
    snprintf(text, sizeof text, "no piece of Smem %u%s", layout, stale);
  else if (a < nearest->base)
    snprintf(text, sizeof text, "%llu bytes before piece %zu of Smem %u (%u bytes)%s", nearest->base - a, number, layout,
             nearest->bytes, stale);
  else if (a - nearest->base >= nearest->bytes)
    snprintf(text, sizeof text, "%llu bytes after the end of piece %zu of Smem %u (%u bytes)%s",
             a - nearest->base - nearest->bytes, number, layout, nearest->bytes, stale);
  else
    snprintf(text, sizeof text, "byte %llu of piece %zu of Smem %u (%u bytes)%s", a - nearest->base, number, layout,
             nearest->bytes, stale);
  return text;
}

// The new Smem's pieces lie where the old one's are on a GPU. So what other threads
// did to the old one since the last barrier races with all that follows.
static void replace(u32 layout, const void* pc) {
  for (const Piece& p : layouts[layout].pieces) {
    const u64 first = shared_space.cell(p.base), cells = (p.bytes + 1) / 2;
    for (u64 i = first; i < first + cells; i++)
      for (const Cell c : {shared_space.writes[i], shared_space.reads[i]})
        if (c > now.interval && ((c ^ now.self) & kThreadBits)) {
          violate("race", pc, "a new Smem begins, but another thread used %s since the last barrier",
                  describe_shared(p.base + 2 * (i - first)).c_str());
          return;
        }
  }
}

static void begin(u32 total, const void* pc) {
  Thread& t = *running;
  t.piece = 0;
  if (t.layout == kLayouts) abort_launch("smem-size", pc, "more than %u Smem in a kernel", kLayouts);
  const u32 mine = t.layout++;
  Layout& l = layouts[mine];
  if (mine < current) {  // another thread of this block has begun it
    if (total != l.total) violate("smem-divergence", pc, "threads give Smem %u %u and %u bytes", mine, l.total, total);
    return;
  }
  if (mine > 0) {
    if (copies_in_flight()) violate("async-pending", pc, "a new Smem begins, but copies into the old one are in flight");
    replace(mine - 1, pc);
  }
  if (total > launched) violate("smem-size", pc, "Smem %u has %u bytes, the launch %u", mine, total, launched);
  greatest = total > greatest ? total : greatest;
  current = mine + 1;
  l.total = total;
  l.used = 0;
  l.taken = 0;
  window_base = window_of(mine);
  now.layout = now.interval;
}

static void* take(u32 bytes, const void* pc) {
  Thread& t = *running;
  const u32 mine = t.layout - 1;
  Layout& l = layouts[mine];
  const size_t k = t.piece++;
  if (k < l.taken) {  // another thread of this block has taken it
    if (l.pieces[k].bytes != bytes)
      violate("smem-divergence", pc, "threads take %u and %u bytes as piece %zu of Smem %u", l.pieces[k].bytes, bytes, k, mine);
    return reinterpret_cast<void*>(l.pieces[k].base);
  }
  l.used += (bytes + 15) / 16 * 16;
  if (l.used > l.total)
    violate("smem-size", pc, "piece %zu of Smem %u ends at byte %u of %u", k, mine, l.used, l.total);
  if (k >= l.pieces.size() || l.pieces[k].bytes != bytes) {
    drop_pieces(mine, k);
    const uptr after = k ? l.pieces[k - 1].base + l.pieces[k - 1].bytes : window_of(mine);
    const uptr base = (after + kGap + 15) / 16 * 16;
    if (base + bytes + kGap > window_of(mine) + kWindow)
      abort_launch("smem-size", pc, "piece %zu of Smem %u: more shared memory than any GPU has", k, mine);
    l.pieces.push_back({base, bytes, false});
    shared_space.mark(base, bytes, kUnwritten);
  }
  l.taken++;
  memset(reinterpret_cast<void*>(l.pieces[k].base), 0xff, bytes);  // NaN
  return reinterpret_cast<void*>(l.pieces[k].base);
}

}  // namespace emu

using namespace emu;

void emu_smem_layout(u32 total) { begin(total, __builtin_return_address(0)); }
void* emu_smem_take(u32 bytes) { return take(bytes, __builtin_return_address(0)); }
