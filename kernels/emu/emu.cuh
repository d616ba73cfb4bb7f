// The functions of kernels/gpu/ptx.cuh on the CPU. What each does is said there;
// warp.cpp and async.cpp do it.
#pragma once

template <u32 N>
WRNC_DEVICE void cp_async(void* shared, const void* global, bool valid) {
  static_assert(N == 4 || N == 8 || N == 16, "cp.async copies 4, 8 or 16 bytes");
  emu_cp_async(shared, global, N, valid);
}

WRNC_DEVICE void cp_async_commit() { emu_cp_async_commit(); }

template <u32 N>
WRNC_DEVICE void cp_async_wait() {
  emu_cp_async_wait(N);
}

WRNC_DEVICE void ldmatrix_x2(u32 (&r)[2], const void* shared_row, u32 line = __builtin_LINE()) {
  const emu_u32x4 v = emu_ldmatrix(shared_row, 2, false, line);
  r[0] = v[0], r[1] = v[1];
}

WRNC_DEVICE void ldmatrix_x4(u32 (&r)[4], const void* shared_row, u32 line = __builtin_LINE()) {
  const emu_u32x4 v = emu_ldmatrix(shared_row, 4, false, line);
  r[0] = v[0], r[1] = v[1], r[2] = v[2], r[3] = v[3];
}

WRNC_DEVICE void ldmatrix_x2_trans(u32 (&r)[2], const void* shared_row, u32 line = __builtin_LINE()) {
  const emu_u32x4 v = emu_ldmatrix(shared_row, 2, true, line);
  r[0] = v[0], r[1] = v[1];
}

WRNC_DEVICE void ldmatrix_x4_trans(u32 (&r)[4], const void* shared_row, u32 line = __builtin_LINE()) {
  const emu_u32x4 v = emu_ldmatrix(shared_row, 4, true, line);
  r[0] = v[0], r[1] = v[1], r[2] = v[2], r[3] = v[3];
}

WRNC_DEVICE void mma_bf16(f32 (&d)[4], const u32 (&a)[4], const u32 (&b)[2], u32 line = __builtin_LINE()) {
  const emu_f32x4 v = emu_mma_bf16(emu_f32x4{d[0], d[1], d[2], d[3]}, emu_u32x4{a[0], a[1], a[2], a[3]},
                                   emu_u32x2{b[0], b[1]}, line);
  d[0] = v[0], d[1] = v[1], d[2] = v[2], d[3] = v[3];
}

WRNC_DEVICE void mma_tf32(f32 (&d)[4], const u32 (&a)[4], const u32 (&b)[2], u32 line = __builtin_LINE()) {
  const emu_f32x4 v = emu_mma_tf32(emu_f32x4{d[0], d[1], d[2], d[3]}, emu_u32x4{a[0], a[1], a[2], a[3]},
                                   emu_u32x2{b[0], b[1]}, line);
  d[0] = v[0], d[1] = v[1], d[2] = v[2], d[3] = v[3];
}

// bf16_bits rounds to the nearest bf16, ties to even; every NaN becomes 0x7fff.
WRNC_DEVICE u16 bf16_bits(f32 a) {
  u32 bits;
  __builtin_memcpy(&bits, &a, sizeof bits);
  if ((bits & 0x7fffffff) > 0x7f800000) return 0x7fff;
  return u16((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

// bf16x2_bits does so with two numbers, the first in the low half.
WRNC_DEVICE u32 bf16x2_bits(f32 low, f32 high) { return bf16_bits(low) | u32(bf16_bits(high)) << 16; }

WRNC_DEVICE u32 pinned(u32 x) { return x; }
