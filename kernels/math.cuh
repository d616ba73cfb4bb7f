// Three ways to multiply, with one interface: Bf16 and Tf32 on tensor cores, Ffma on
// plain cores. A warp multiplies blocks of 16 rows of A by blocks of 8 columns of B
// over kStep terms, and sums in f32.
//
// The sums of a block lie in a warp as the tensor cores have them. With g = lane/4
// and t = lane%4, sums[0..1] are row g, columns 2t and 2t+1, and sums[2..3] row g+8.
//
// An operand lies in shared memory in one of two orders:
//
//     Rows     a row or column of the product in each row of the tile, terms side by
//              side: the pixels of a convolution, weights [k][c] going forward
//     Columns  a term in each row of the tile, rows or columns of the product side by
//              side: weights [k][c] going backward, both operands of a wgrad
//
// What differs between maths is which elements a thread must fetch. A view (RowsA,
// RowsB, ColumnsA, ColumnsB) names the kOwn rows of the tile, relative to the
// block, of which a thread needs the address, and the element in them where it
// starts; load() takes these kOwn offsets. So rows may lie anywhere, as they do
// where a filter's taps shift pixels.
//
// kUnrollTaps tells whether a loop over a filter's taps is worth unrolling, and
// kUnrollSteps how many steps of a tap are. A step of Ffma is hundreds of instructions
// by itself: more of them save nothing, take the compiler several times as long, and
// tempt it to load so far ahead that registers spill.
#pragma once

#include "ops.cuh"

// Row lengths without bank conflicts. Rows that ldmatrix or 16-byte loads read lie
// an odd number of 16-byte pieces apart, so that eight of them touch all banks;
// rows of which eight neighbouring words are read, four rows at once, lie 8 or 24
// words apart modulo the 32 banks.
template <class T>
WRNC_DEVICE constexpr u32 pieces_row(u32 elements) {
  const u32 piece = 16 / sizeof(T);
  return elements / piece % 2 == 0 ? elements + piece : elements;
}
WRNC_DEVICE constexpr u32 words_row(u32 elements) { return elements % 16 == 0 ? elements + 8 : elements; }

struct Bf16 {
  using Store = bf16;
  static constexpr u32 kStep = 16;
  static constexpr bool kUnrollTaps = true;
  static constexpr u32 kUnrollSteps = 4;
  struct A {
    u32 r[4];
  };
  struct B {
    u32 r[2];
  };

  WRNC_DEVICE void multiply(f32 (&sums)[4], const A& a, const B& b) { mma_bf16(sums, a.r, b.r); }

  WRNC_DEVICE constexpr u32 rows_row(u32 elements) { return pieces_row<bf16>(elements); }
  WRNC_DEVICE constexpr u32 columns_row(u32 elements) { return pieces_row<bf16>(elements); }

  // Four 8x8 matrices: rows 0-7 and 8-15 of terms 0-7, then of terms 8-15.
  struct RowsA {
    static constexpr u32 kOwn = 1;
    WRNC_DEVICE u32 row(u32) { return lane_index() % 16; }
    WRNC_DEVICE u32 element() { return lane_index() / 16 * 8; }
    WRNC_DEVICE void load(A& a, const bf16* tile, const u32 (&own)[kOwn]) { ldmatrix_x4(a.r, tile + own[0]); }
  };

  // Terms 0-7 and 8-15 of a block of columns, then of the next.
  template <u32 Blocks>
  struct RowsB {
    static constexpr u32 kOwn = 1;
    WRNC_DEVICE u32 row(u32) { return lane_index() % 8 + (Blocks == 2 ? lane_index() / 16 * 8 : 0); }
    WRNC_DEVICE u32 element() { return lane_index() / 8 % 2 * 8; }
    WRNC_DEVICE void load(B (&b)[Blocks], const bf16* tile, const u32 (&own)[kOwn]) {
      if constexpr (Blocks == 2) {
        u32 r[4];
        ldmatrix_x4(r, tile + own[0]);
        b[0] = B{{r[0], r[1]}};
        b[1] = B{{r[2], r[3]}};
      } else {
        ldmatrix_x2(b[0].r, tile + own[0]);
      }
    }
  };

  // The same matrices from the other order: each is transposed on its way.
  struct ColumnsA {
    static constexpr u32 kOwn = 1;
    WRNC_DEVICE u32 row(u32) { return lane_index() % 8 + lane_index() / 16 * 8; }
    WRNC_DEVICE u32 element() { return lane_index() / 8 % 2 * 8; }
    WRNC_DEVICE void load(A& a, const bf16* tile, const u32 (&own)[kOwn]) { ldmatrix_x4_trans(a.r, tile + own[0]); }
  };

  template <u32 Blocks>
  struct ColumnsB {
    static constexpr u32 kOwn = 1;
    WRNC_DEVICE u32 row(u32) { return lane_index() % 16; }
    WRNC_DEVICE u32 element() { return Blocks == 2 ? lane_index() / 16 * 8 : 0; }
    WRNC_DEVICE void load(B (&b)[Blocks], const bf16* tile, const u32 (&own)[kOwn]) {
      if constexpr (Blocks == 2) {
        u32 r[4];
        ldmatrix_x4_trans(r, tile + own[0]);
        b[0] = B{{r[0], r[1]}};
        b[1] = B{{r[2], r[3]}};
      } else {
        ldmatrix_x2_trans(b[0].r, tile + own[0]);
      }
    }
  };
};

// Tf32: f32 in memory, rounded to ten mantissa bits by a convert. Four terms are as
// long as eight bf16, and a word is an element: so ldmatrix reads Rows as it does for
// Bf16, but it cannot transpose words, and Columns are plain loads.
struct Tf32 {
  using Store = f32;
  static constexpr u32 kStep = 8;
  static constexpr bool kUnrollTaps = true;
  static constexpr u32 kUnrollSteps = 4;
  struct A {
    u32 r[4];
  };
  struct B {
    u32 r[2];
  };

  WRNC_DEVICE void multiply(f32 (&sums)[4], const A& a, const B& b) { mma_tf32(sums, a.r, b.r); }

  WRNC_DEVICE constexpr u32 rows_row(u32 elements) { return pieces_row<f32>(elements); }
  WRNC_DEVICE constexpr u32 columns_row(u32 elements) { return words_row(elements); }

  struct RowsA {
    static constexpr u32 kOwn = 1;
    WRNC_DEVICE u32 row(u32) { return lane_index() % 16; }
    WRNC_DEVICE u32 element() { return lane_index() / 16 * 4; }
    WRNC_DEVICE void load(A& a, const f32* tile, const u32 (&own)[kOwn]) { ldmatrix_x4(a.r, tile + own[0]); }
  };

  template <u32 Blocks>
  struct RowsB {
    static constexpr u32 kOwn = 1;
    WRNC_DEVICE u32 row(u32) { return lane_index() % 8 + (Blocks == 2 ? lane_index() / 16 * 8 : 0); }
    WRNC_DEVICE u32 element() { return lane_index() / 8 % 2 * 4; }
    WRNC_DEVICE void load(B (&b)[Blocks], const f32* tile, const u32 (&own)[kOwn]) {
      if constexpr (Blocks == 2) {
        u32 r[4];
        ldmatrix_x4(r, tile + own[0]);
        b[0] = B{{r[0], r[1]}};
        b[1] = B{{r[2], r[3]}};
      } else {
        ldmatrix_x2(b[0].r, tile + own[0]);
      }
    }
  };

  struct ColumnsA {
    static constexpr u32 kOwn = 2;
    WRNC_DEVICE u32 row(u32 i) { return lane_index() % 4 + i * 4; }
    WRNC_DEVICE u32 element() { return lane_index() / 4; }
    WRNC_DEVICE void load(A& a, const f32* tile, const u32 (&own)[kOwn]) {
#pragma unroll
      for (u32 i = 0; i < 4; i++) a.r[i] = bits_of(tile[own[i / 2] + i % 2 * 8]);
    }
  };

  template <u32 Blocks>
  struct ColumnsB {
    static constexpr u32 kOwn = 2;
    WRNC_DEVICE u32 row(u32 i) { return lane_index() % 4 + i * 4; }
    WRNC_DEVICE u32 element() { return lane_index() / 4; }
    WRNC_DEVICE void load(B (&b)[Blocks], const f32* tile, const u32 (&own)[kOwn]) {
#pragma unroll
      for (u32 i = 0; i < 2 * Blocks; i++) b[i / 2].r[i % 2] = bits_of(tile[own[i % 2] + i / 2 * 8]);
    }
  };
};

// Ffma: full f32. A thread multiplies its two rows by its two columns, four terms at
// a time, so that Rows are read 16 bytes at once.
struct Ffma {
  using Store = f32;
  static constexpr u32 kStep = 4;
  static constexpr bool kUnrollTaps = false;
  static constexpr u32 kUnrollSteps = 2;
  struct A {
    f32 v[2][kStep];
  };
  struct B {
    f32 v[2][kStep];
  };

  WRNC_DEVICE void multiply(f32 (&sums)[4], const A& a, const B& b) {
#pragma unroll
    for (u32 k = 0; k < kStep; k++)
#pragma unroll
      for (u32 i = 0; i < 4; i++) sums[i] = fma(a.v[i / 2][k], b.v[i % 2][k], sums[i]);
  }

  WRNC_DEVICE constexpr u32 rows_row(u32 elements) { return pieces_row<f32>(elements); }
  WRNC_DEVICE constexpr u32 columns_row(u32 elements) { return words_row(elements); }

  struct RowsA {
    static constexpr u32 kOwn = 2;
    WRNC_DEVICE u32 row(u32 i) { return lane_index() / 4 + i * 8; }
    WRNC_DEVICE u32 element() { return 0; }
    WRNC_DEVICE void load(A& a, const f32* tile, const u32 (&own)[kOwn]) {
#pragma unroll
      for (u32 i = 0; i < 2; i++) {
        const Vec<f32, kStep> x = ::load<f32, kStep>(tile + own[i]);
#pragma unroll
        for (u32 k = 0; k < kStep; k++) a.v[i][k] = x.v[k];
      }
    }
  };

  template <u32 Blocks>
  struct RowsB {
    static constexpr u32 kOwn = 2 * Blocks;
    WRNC_DEVICE u32 row(u32 i) { return i / 2 * 8 + lane_index() % 4 * 2 + i % 2; }
    WRNC_DEVICE u32 element() { return 0; }
    WRNC_DEVICE void load(B (&b)[Blocks], const f32* tile, const u32 (&own)[kOwn]) {
#pragma unroll
      for (u32 i = 0; i < kOwn; i++) {
        const Vec<f32, kStep> x = ::load<f32, kStep>(tile + own[i]);
#pragma unroll
        for (u32 k = 0; k < kStep; k++) b[i / 2].v[i % 2][k] = x.v[k];
      }
    }
  };

  struct ColumnsA {
    static constexpr u32 kOwn = kStep;
    WRNC_DEVICE u32 row(u32 i) { return i; }
    WRNC_DEVICE u32 element() { return lane_index() / 4; }
    WRNC_DEVICE void load(A& a, const f32* tile, const u32 (&own)[kOwn]) {
#pragma unroll
      for (u32 k = 0; k < kStep; k++) {
        a.v[0][k] = tile[own[k]];
        a.v[1][k] = tile[own[k] + 8];
      }
    }
  };

  template <u32 Blocks>
  struct ColumnsB {
    static constexpr u32 kOwn = kStep;
    WRNC_DEVICE u32 row(u32 i) { return i; }
    WRNC_DEVICE u32 element() { return lane_index() % 4 * 2; }
    WRNC_DEVICE void load(B (&b)[Blocks], const f32* tile, const u32 (&own)[kOwn]) {
#pragma unroll
      for (u32 k = 0; k < kStep; k++)
#pragma unroll
        for (u32 i = 0; i < Blocks; i++) {
          const Vec<f32, 2> x = ::load<f32, 2>(tile + own[k] + i * 8);
          b[i].v[0][k] = x.v[0];
          b[i].v[1][k] = x.v[1];
        }
    }
  };
};

// own_offsets are the offsets that a view needs of consecutive rows of `stride`
// elements, the first of which begins at `origin`.
template <class View>
WRNC_DEVICE void own_offsets(u32 (&own)[View::kOwn], u32 stride, u32 origin) {
#pragma unroll
  for (u32 i = 0; i < View::kOwn; i++) own[i] = pinned(origin + View::row(i) * stride + View::element());
}

// multiply_columns multiplies a warp's rows of A, in registers, by all its columns of
// B. Blocks lie `stride` elements apart.
template <class Math, class View, u32 Blocks, u32 MI, u32 NI>
WRNC_DEVICE void multiply_columns(f32 (&sums)[MI][NI][4], const typename Math::A (&a)[MI], const typename Math::Store* tile,
                                  const u32 (&own)[View::kOwn], u32 stride) {
#pragma unroll
  for (u32 j = 0; j < NI; j += Blocks) {
    typename Math::B b[Blocks];
    View::load(b, tile + j * stride, own);
#pragma unroll
    for (u32 k = 0; k < Blocks; k++)
#pragma unroll
      for (u32 i = 0; i < MI; i++) Math::multiply(sums[i][j + k], a[i], b[k]);
  }
}

// store_sums writes blocks [first, first + Count) of a warp's columns to a result
// tile of f32, at the warp's first row and column there. Only constants may index
// the sums, which are registers; so the loop runs over all of them.
template <u32 Count, u32 MI, u32 NI>
WRNC_DEVICE void store_sums(f32* result, u32 stride, const f32 (&sums)[MI][NI][4], u32 first) {
  f32* const mine = result + lane_index() / 4 * stride + lane_index() % 4 * 2;
#pragma unroll
  for (u32 j = 0; j < NI; j++) {
    if (j / Count * Count != first) continue;
#pragma unroll
    for (u32 i = 0; i < MI; i++)
#pragma unroll
      for (u32 half = 0; half < 2; half++)
        store<f32, 2>(mine + (i * 16 + half * 8) * stride + j % Count * 8,
                      Vec<f32, 2>{{sums[i][j][half * 2], sums[i][j][half * 2 + 1]}});
  }
}
