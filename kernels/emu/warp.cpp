// The instructions that a warp executes together.
#include "block.h"
#include "shadow.h"

namespace emu {

// The lane that completes a meeting calls work for the whole warp.
template <class Work>
static inline void together(Meeting meeting, u32 line, const void* pc, Work work) {
  if (!meet_warp(meeting, line, pc)) return;
  work(warps[running->warp]);
  release_warp();
}

static u32 shuffle(u32 v, u32 source, u32 line, const void* pc) {
  const u32 lane = running->index % kLanes;
  Warp& w = warps[running->warp];
  w.a[lane] = emu_u32x4{v, source % kLanes};
  together(Meeting::kShuffle, line, pc, [](Warp& w) {
    for (u32 l = 0; l < kLanes; l++) w.a[l][2] = w.a[w.a[l][1]][0];
  });
  return w.a[lane][2];
}

// A mma's result cannot depend on how the text is scheduled, so its sums have a
// fixed order: from d on, products in the order of k, each added by one rounding.
// A GPU sums in an order and a width that NVIDIA does not tell.
typedef f32 Row __attribute__((vector_size(32)));  // of eight columns

template <u32 kDepth>
static inline void multiply(Row (&d)[16], const f32 (&a)[16][kDepth], const Row (&b)[kDepth]) {
  for (u32 half = 0; half < 16; half += 8)  // eight rows in registers
    for (u32 k = 0; k < kDepth; k++)
      for (u32 i = half; i < half + 8; i++) d[i] += a[i][k] * b[k];  // -ffp-contract=fast: fused
}

// The layouts are those of the PTX manual, "Matrix Fragments for mma.m16n8k16" and
// "mma.m16n8k8": group = lane/4, in_group = lane%4.

static inline void gather_sums(Row (&d)[16], const Warp& w) {
  for (u32 lane = 0; lane < kLanes; lane++) {
    const u32 row = lane / 4, column = lane % 4 * 2;
    d[row][column] = w.d[lane][0];
    d[row][column + 1] = w.d[lane][1];
    d[row + 8][column] = w.d[lane][2];
    d[row + 8][column + 1] = w.d[lane][3];
  }
}

static inline void scatter_sums(Warp& w, const Row (&d)[16]) {
  for (u32 lane = 0; lane < kLanes; lane++) {
    const u32 row = lane / 4, column = lane % 4 * 2;
    w.d[lane] = emu_f32x4{d[row][column], d[row][column + 1], d[row + 8][column], d[row + 8][column + 1]};
  }
}

static inline f32 float_of(u32 bits) {
  f32 v;
  __builtin_memcpy(&v, &bits, sizeof v);
  return v;
}

static inline f32 low_bf16(u32 pair) { return float_of(pair << 16); }
static inline f32 high_bf16(u32 pair) { return float_of(pair & 0xffff0000); }

static void mma_bf16(Warp& w) {
  report.counters.mmas++;
  f32 a[16][16];
  Row b[16], d[16];
  for (u32 lane = 0; lane < kLanes; lane++) {
    const u32 group = lane / 4, first = lane % 4 * 2;
    for (u32 r = 0; r < 4; r++) {
      const u32 row = group + r % 2 * 8, column = first + r / 2 * 8;
      a[row][column] = low_bf16(w.a[lane][r]);
      a[row][column + 1] = high_bf16(w.a[lane][r]);
    }
    for (u32 r = 0; r < 2; r++) {
      b[first + r * 8][group] = low_bf16(w.b[lane][r]);
      b[first + r * 8 + 1][group] = high_bf16(w.b[lane][r]);
    }
  }
  gather_sums(d, w);
  multiply(d, a, b);
  scatter_sums(w, d);
}

// The instruction ignores the bits that tf32 does not have. A kernel that leaves
// them to it has not rounded but cut its operand off.
constexpr u32 kNotTf32 = 0x1fff;

static inline f32 tf32_of(u32 bits) { return float_of(bits & ~kNotTf32); }

static void check_tf32(emu_u32x4 a, emu_u32x2 b, const void* pc) {
  for (const u32 bits : {a[0], a[1], a[2], a[3], b[0], b[1]})
    if (bits & kNotTf32 && (bits & 0x7fffe000) <= 0x7f800000)  // of NaN nothing is lost
      violate("tf32-unrounded", pc, "an operand of mma_tf32, 0x%08x, is not rounded to tf32", bits);
}

static void mma_tf32(Warp& w) {
  report.counters.mmas++;
  f32 a[16][8];
  Row b[8], d[16];
  for (u32 lane = 0; lane < kLanes; lane++) {
    const u32 group = lane / 4, in_group = lane % 4;
    for (u32 r = 0; r < 4; r++) a[group + r % 2 * 8][in_group + r / 2 * 4] = tf32_of(w.a[lane][r]);
    for (u32 r = 0; r < 2; r++) b[in_group + r * 4][group] = tf32_of(w.b[lane][r]);
  }
  gather_sums(d, w);
  multiply(d, a, b);
  scatter_sums(w, d);
}

// Lane 8*i + r gives the address of row r of matrix i. Lane l receives elements
// 2*(l%4) and the next of row l/4 of each matrix, or of column l/4 of the transposed.
static void load_matrices(Warp& w, u32 matrices, bool transposed) {
  for (u32 m = 0; m < matrices; m++)
    for (u32 lane = 0; lane < kLanes; lane++) {
      const u32 row = lane / 4, column = lane % 4 * 2;
      u16 pair[2];
      for (u32 k = 0; k < 2; k++) {
        const u32 r = transposed ? column + k : row, c = transposed ? row : column + k;
        __builtin_memcpy(&pair[k], w.row[8 * m + r] + 2 * c, sizeof(u16));
      }
      w.a[lane][m] = u32(pair[0]) | u32(pair[1]) << 16;
    }
}

static void check_row(const void* row, const void* pc) {
  const uptr a = reinterpret_cast<uptr>(row);
  if (a - window_base >= kWindow)
    abort_launch("ldmatrix-address", pc, "the row's address 0x%llx is not in shared memory", a);
  if (a % 16) misaligned(a, 16, false, pc);
  access<16, false>(a, pc);
}

}  // namespace emu

using namespace emu;

#define CALLER __builtin_return_address(0)

u32 emu_shuffle_xor(u32 v, u32 mask, u32 line) { return shuffle(v, running->index ^ mask, line, CALLER); }

// A lane whose source would lie beyond the warp gets its own value.
u32 emu_shuffle_down(u32 v, u32 n, u32 line) {
  const u32 lane = running->index % kLanes;
  return shuffle(v, n < kLanes - lane ? lane + n : lane, line, CALLER);
}

emu_u32x4 emu_ldmatrix(const void* row, u32 matrices, u32 trans, u32 line) {
  const void* pc = CALLER;
  const u32 lane = running->index % kLanes;
  Warp& w = warps[running->warp];
  if (lane < 8 * matrices) check_row(row, pc);
  w.row[lane] = static_cast<const u8*>(row);
  together(Meeting::kLdmatrix, line, pc, [=](Warp& w) { load_matrices(w, matrices, trans); });
  return w.a[lane];
}

emu_f32x4 emu_mma_bf16(emu_f32x4 d, emu_u32x4 a, emu_u32x2 b, u32 line) {
  const u32 lane = running->index % kLanes;
  Warp& w = warps[running->warp];
  w.a[lane] = a;
  w.b[lane] = b;
  w.d[lane] = d;
  together(Meeting::kMmaBf16, line, CALLER, mma_bf16);
  return w.d[lane];
}

emu_f32x4 emu_mma_tf32(emu_f32x4 d, emu_u32x4 a, emu_u32x2 b, u32 line) {
  const void* pc = CALLER;
  const u32 lane = running->index % kLanes;
  Warp& w = warps[running->warp];
  const emu_u32x4 all = a | emu_u32x4{b[0], b[1], 0, 0};
  if ((all[0] | all[1] | all[2] | all[3]) & kNotTf32) check_tf32(a, b, pc);
  w.a[lane] = a;
  w.b[lane] = b;
  w.d[lane] = d;
  together(Meeting::kMmaTf32, line, pc, mma_tf32);
  return w.d[lane];
}

f32 emu_exp(f32 a) { return __builtin_expf(a); }
f32 emu_log(f32 a) { return __builtin_logf(a); }
