// The instructions that a warp executes together. The layouts of operands are those
// of the PTX manual: "Matrix Fragments for mma.m16n8k16", "for mma.m16n8k8", and
// "ldmatrix". kernels/gpu/ptx.cuh spells them out.
#include <immintrin.h>

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

static inline u32 lane() { return running->index % kLanes; }

// ---- Shuffles.

static u32 shuffle(u32 v, u32 source, u32 line, const void* pc) {
  Warp& mine = warps[running->warp];
  const u32 l = lane();
  mine.a[l] = emu_u32x4{v, source % kLanes};
  together(Meeting::kShuffle, line, pc, [](Warp& w) {
    for (u32 l = 0; l < kLanes; l++) w.a[l][2] = w.a[w.a[l][1]][0];
  });
  return mine.a[l][2];
}

// ---- Transpositions. Words or half-words of the rows' low halves and high halves
// interleave, then pairs of them, then fours.

// transpose of 8x8 words.
static inline void transpose(__m256i (&r)[8]) {
  __m256i s[8], t[8];
  for (u32 i = 0; i < 8; i += 2) {
    s[i] = _mm256_unpacklo_epi32(r[i], r[i + 1]);
    s[i + 1] = _mm256_unpackhi_epi32(r[i], r[i + 1]);
  }
  for (u32 i = 0; i < 8; i += 4)
    for (u32 k = 0; k < 2; k++) {
      t[i + 2 * k] = _mm256_unpacklo_epi64(s[i + k], s[i + k + 2]);
      t[i + 2 * k + 1] = _mm256_unpackhi_epi64(s[i + k], s[i + k + 2]);
    }
  for (u32 i = 0; i < 4; i++) {
    r[i] = _mm256_permute2x128_si256(t[i], t[i + 4], 0x20);
    r[i + 4] = _mm256_permute2x128_si256(t[i], t[i + 4], 0x31);
  }
}

// transpose of 8x8 half-words.
static inline void transpose(__m128i (&r)[8]) {
  __m128i s[8], t[8];
  for (u32 i = 0; i < 8; i += 2) {
    s[i] = _mm_unpacklo_epi16(r[i], r[i + 1]);
    s[i + 1] = _mm_unpackhi_epi16(r[i], r[i + 1]);
  }
  for (u32 i = 0; i < 8; i += 4)
    for (u32 k = 0; k < 2; k++) {
      t[i + 2 * k] = _mm_unpacklo_epi32(s[i + k], s[i + k + 2]);
      t[i + 2 * k + 1] = _mm_unpackhi_epi32(s[i + k], s[i + k + 2]);
    }
  for (u32 i = 0; i < 4; i++) {
    r[2 * i] = _mm_unpacklo_epi64(t[i], t[i + 4]);
    r[2 * i + 1] = _mm_unpackhi_epi64(t[i], t[i + 4]);
  }
}

// transpose of 4x4 words.
static inline void transpose(__m128i (&r)[4]) {
  const __m128i s0 = _mm_unpacklo_epi32(r[0], r[1]), s1 = _mm_unpackhi_epi32(r[0], r[1]);
  const __m128i s2 = _mm_unpacklo_epi32(r[2], r[3]), s3 = _mm_unpackhi_epi32(r[2], r[3]);
  r[0] = _mm_unpacklo_epi64(s0, s2);
  r[1] = _mm_unpackhi_epi64(s0, s2);
  r[2] = _mm_unpacklo_epi64(s1, s3);
  r[3] = _mm_unpackhi_epi64(s1, s3);
}

// ---- Matrix multiply-accumulate. group = lane/4, in_group = lane%4.

// A mma's result cannot depend on how a text is scheduled, so its sums have a fixed
// order: from d on, products by ascending k, each added with one rounding. A GPU
// sums in an order and a width that NVIDIA does not tell.
//
// Both forms hold B the same way: lane 4*column + t has two words of that column, so
// the 64 words of a warp are a matrix [column][t][2], whose transpose has a vector of
// eight columns for each (t, i). A row of A is spread over the lanes 4*row + t; the
// words are taken one by one. Rows of D are split over lanes in halves of 8 bytes:
// [row][t][4] words, of which two belong to row, two to row + 8.

static inline void load_sums(__m256 (&d)[16], const Warp& w) {
  for (u32 row = 0; row < 8; row++) {
    const __m256d* p = reinterpret_cast<const __m256d*>(&w.d[4 * row]);
    const __m256d low = _mm256_unpacklo_pd(p[0], p[1]), high = _mm256_unpackhi_pd(p[0], p[1]);
    d[row] = _mm256_castpd_ps(_mm256_permute4x64_pd(low, 0xd8));
    d[row + 8] = _mm256_castpd_ps(_mm256_permute4x64_pd(high, 0xd8));
  }
}

static inline void store_sums(Warp& w, const __m256 (&d)[16]) {
  for (u32 row = 0; row < 8; row++) {
    __m256d* p = reinterpret_cast<__m256d*>(&w.d[4 * row]);
    const __m256d low = _mm256_permute4x64_pd(_mm256_castps_pd(d[row]), 0xd8);
    const __m256d high = _mm256_permute4x64_pd(_mm256_castps_pd(d[row + 8]), 0xd8);
    p[0] = _mm256_unpacklo_pd(low, high);
    p[1] = _mm256_unpackhi_pd(low, high);
  }
}

static inline void load_b(__m256i (&b)[8], const Warp& w) {
  const __m256i* p = reinterpret_cast<const __m256i*>(w.b);
  for (u32 column = 0; column < 8; column++) b[column] = p[column];
  transpose(b);
}

static inline __m256i broadcast(const emu_u32x4& v, u32 i) {
  return _mm256_set1_epi32(reinterpret_cast<const i32*>(&v)[i]);
}

// A word of A or B holds bf16 elements k and k+1, the first in its low half.
static inline __m256 low_bf16(__m256i pair) { return _mm256_castsi256_ps(_mm256_slli_epi32(pair, 16)); }
static inline __m256 high_bf16(__m256i pair) {
  return _mm256_castsi256_ps(_mm256_and_si256(pair, _mm256_set1_epi32(i32(0xffff0000))));
}

static void mma_bf16(Warp& w) {
  report.counters.mmas++;
  __m256i b[8];
  __m256 d[16];
  load_b(b, w);
  load_sums(d, w);
  for (u32 i = 0; i < 2; i++)  // k = 8*i + 2*t, and the next
    for (u32 t = 0; t < 4; t++) {
      const __m256 b0 = low_bf16(b[2 * t + i]), b1 = high_bf16(b[2 * t + i]);
      for (u32 row = 0; row < 16; row++) {
        const __m256i a = broadcast(w.a[4 * (row % 8) + t], 2 * i + row / 8);
        d[row] = _mm256_fmadd_ps(high_bf16(a), b1, _mm256_fmadd_ps(low_bf16(a), b0, d[row]));
      }
    }
  store_sums(w, d);
}

// The instruction ignores the bits that tf32 does not have. A kernel that leaves
// them to it has not rounded but cut its operand off.
constexpr u32 kNotTf32 = 0x1fff;

static inline __m256 tf32(__m256i v) {
  return _mm256_castsi256_ps(_mm256_andnot_si256(_mm256_set1_epi32(kNotTf32), v));
}

static void mma_tf32(Warp& w) {
  report.counters.mmas++;
  __m256i b[8];
  __m256 d[16];
  load_b(b, w);
  load_sums(d, w);
  for (u32 i = 0; i < 2; i++)  // k = 4*i + t
    for (u32 t = 0; t < 4; t++) {
      const __m256 bk = tf32(b[2 * t + i]);
      for (u32 row = 0; row < 16; row++)
        d[row] = _mm256_fmadd_ps(tf32(broadcast(w.a[4 * (row % 8) + t], 2 * i + row / 8)), bk, d[row]);
    }
  store_sums(w, d);
}

static void check_tf32(emu_u32x4 a, emu_u32x2 b, const void* pc) {
  for (const u32 bits : {a[0], a[1], a[2], a[3], b[0], b[1]})
    if (bits & kNotTf32 && (bits & 0x7fffe000) <= 0x7f800000)  // of a NaN nothing is lost
      violate("tf32-unrounded", pc, "an operand of mma_tf32, 0x%08x, is not rounded to tf32", bits);
}

// ---- ldmatrix.

// Lane 8*i + r gives the address of row r of matrix i, eight half-words. Lane
// 4*r + t receives words t of rows r, or of rows r of the transposed matrices.
static void load_matrices(Warp& w, u32 matrices, bool transposed) {
  __m128i rows[4][8] = {};
  for (u32 m = 0; m < matrices; m++) {
    for (u32 r = 0; r < 8; r++) rows[m][r] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(w.row[8 * m + r]));
    if (transposed) transpose(rows[m]);
  }
  for (u32 r = 0; r < 8; r++) {
    __m128i words[4] = {rows[0][r], rows[1][r], rows[2][r], rows[3][r]};
    transpose(words);
    for (u32 t = 0; t < 4; t++) w.a[4 * r + t] = reinterpret_cast<const emu_u32x4&>(words[t]);
  }
}

static inline void check_row(const void* row, const void* pc) {
  const uptr a = reinterpret_cast<uptr>(row);
  if (a - window_base >= kWindow)
    abort_launch("ldmatrix-address", pc, "the row's address 0x%llx is not in shared memory", a);
  if (a % 16) misaligned(a, 16, false, pc);
  access<16, false>(a, pc);
}

}  // namespace emu

using namespace emu;

#define CALLER __builtin_return_address(0)

u32 emu_shuffle_xor(u32 v, u32 mask, u32 line) { return shuffle(v, lane() ^ mask, line, CALLER); }

// A lane whose source would lie beyond the warp gets its own value.
u32 emu_shuffle_down(u32 v, u32 n, u32 line) {
  const u32 l = lane();
  return shuffle(v, n < kLanes - l ? l + n : l, line, CALLER);
}

emu_u32x4 emu_ldmatrix(const void* row, u32 matrices, u32 trans, u32 line) {
  const void* pc = CALLER;
  Warp& mine = warps[running->warp];
  const u32 l = lane();
  if (l < 8 * matrices) check_row(row, pc);
  mine.row[l] = static_cast<const u8*>(row);
  together(Meeting::kLdmatrix, line, pc, [=](Warp& w) { load_matrices(w, matrices, trans); });
  return mine.a[l];
}

emu_f32x4 emu_mma_bf16(emu_f32x4 d, emu_u32x4 a, emu_u32x2 b, u32 line) {
  Warp& mine = warps[running->warp];
  const u32 l = lane();
  mine.a[l] = a;
  mine.b[l] = b;
  mine.d[l] = d;
  together(Meeting::kMmaBf16, line, CALLER, mma_bf16);
  return mine.d[l];
}

emu_f32x4 emu_mma_tf32(emu_f32x4 d, emu_u32x4 a, emu_u32x2 b, u32 line) {
  const void* pc = CALLER;
  Warp& mine = warps[running->warp];
  const u32 l = lane();
  const emu_u32x4 all = a | emu_u32x4{b[0], b[1]};
  if (__builtin_expect(((all[0] | all[1] | all[2] | all[3]) & kNotTf32) != 0, false)) check_tf32(a, b, pc);
  mine.a[l] = a;
  mine.b[l] = b;
  mine.d[l] = d;
  together(Meeting::kMmaTf32, line, pc, mma_tf32);
  return mine.d[l];
}

f32 emu_exp(f32 a) { return __builtin_expf(a); }
f32 emu_log(f32 a) { return __builtin_logf(a); }
