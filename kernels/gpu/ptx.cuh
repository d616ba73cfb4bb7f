// One function for each PTX instruction that C++ has no name for; the only file
// with inline assembly. kernels/emu/emu.cuh has the same functions on the CPU.
//
// Only instructions with an effect beside their results are `volatile`: those
// keep their order among each other and against barriers. The others are functions
// of their registers, which the compiler may schedule.
#pragma once

// shared_address is the address of shared memory that instructions expect which
// take no generic pointer.
WRNC_DEVICE u32 shared_address(const void* p) { return u32(__cvta_generic_to_shared(p)); }

// ---- Asynchronous copies from global to shared memory.

// cp_async starts a copy of N bytes, 4, 8 or 16; both addresses are aligned to N.
// Where valid is false nothing is read and the N bytes are zeroed.
//
// Sixteen bytes pass by the first cache (.cg): they are wanted once, in shared
// memory. PTX has the smaller sizes with .ca only.
template <u32 N>
WRNC_DEVICE void cp_async(void* shared, const void* global, bool valid) {
  static_assert(N == 4 || N == 8 || N == 16, "cp.async copies 4, 8 or 16 bytes");
  const u32 bytes = valid ? N : 0;
  if constexpr (N == 16)
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(shared)), "l"(global), "r"(bytes)
                 : "memory");
  else
    asm volatile("cp.async.ca.shared.global [%0], [%1], %3, %2;" ::"r"(shared_address(shared)), "l"(global), "r"(bytes),
                 "n"(N)
                 : "memory");
}

// cp_async_commit closes the group of the copies that this thread started since
// the last call; a group may be empty.
WRNC_DEVICE void cp_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// cp_async_wait waits until at most N of this thread's groups are in flight. Other
// threads see the bytes after a barrier.
template <u32 N>
WRNC_DEVICE void cp_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}

// ---- Matrices of 8x8 two-byte elements from shared memory to a warp's registers.

// Lane 8*i + r gives the address of row r of matrix i, aligned to 16 bytes; of x2
// the addresses of lanes 16 to 31 are not used, but must be valid all the same on
// the CPU. Register i of lane l holds elements 2*(l%4) and 2*(l%4)+1 of row l/4 of
// matrix i, the first in the low half; with _trans, of column l/4.
WRNC_DEVICE void ldmatrix_x2(u32 (&r)[2], const void* shared_row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];"
               : "=r"(r[0]), "=r"(r[1])
               : "r"(shared_address(shared_row))
               : "memory");
}

WRNC_DEVICE void ldmatrix_x4(u32 (&r)[4], const void* shared_row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(shared_row))
               : "memory");
}

WRNC_DEVICE void ldmatrix_x2_trans(u32 (&r)[2], const void* shared_row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];"
               : "=r"(r[0]), "=r"(r[1])
               : "r"(shared_address(shared_row))
               : "memory");
}

WRNC_DEVICE void ldmatrix_x4_trans(u32 (&r)[4], const void* shared_row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(shared_row))
               : "memory");
}

// ---- Matrix multiply-accumulate by a warp: d += a*b, a by rows, b by columns,
// sums in f32. With g = lane/4 and t = lane%4:
//
//	d[0], d[1]: row g,   columns 2t, 2t+1
//	d[2], d[3]: row g+8, columns 2t, 2t+1

// mma_bf16 is 16x8 += 16x16 * 16x8. A register holds two elements, the first in
// the low half:
//
//	a[0]: row g,   columns 2t, 2t+1        a[2]: row g,   columns 2t+8, 2t+9
//	a[1]: row g+8, columns 2t, 2t+1        a[3]: row g+8, columns 2t+8, 2t+9
//	b[0]: rows 2t, 2t+1, column g          b[1]: rows 2t+8, 2t+9, column g
WRNC_DEVICE void mma_bf16(f32 (&d)[4], const u32 (&a)[4], const u32 (&b)[2]) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// mma_tf32 is 16x8 += 16x8 * 8x8, of f32 that were rounded to tf32 before:
//
//	a[0]: row g,   column t                a[2]: row g,   column t+4
//	a[1]: row g+8, column t                a[3]: row g+8, column t+4
//	b[0]: row t,   column g                b[1]: row t+4, column g
WRNC_DEVICE void mma_tf32(f32 (&d)[4], const u32 (&a)[4], const u32 (&b)[2]) {
  asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// ---- The rest.

// bf16_bits rounds to the nearest bf16, ties to even; every NaN becomes 0x7fff.
WRNC_DEVICE u16 bf16_bits(f32 a) {
  u16 bits;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(a));
  return bits;
}

// bf16x2_bits does so with two numbers, the first in the low half, in one
// instruction; for a single one there is only a slow conversion.
WRNC_DEVICE u32 bf16x2_bits(f32 low, f32 high) {
  u32 bits;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(bits) : "f"(high), "f"(low));
  return bits;
}

// pinned returns x, and the compiler does not know that it does: what a loop needs
// stays in a register, instead of being computed from the thread's index again and
// again. Nothing is executed.
WRNC_DEVICE u32 pinned(u32 x) {
  asm volatile("" : "+r"(x));
  return x;
}

// atomic_add_acq_rel adds to *p, in global memory, and returns what was there; it
// releases this thread's writes to the device and acquires those released to it.
WRNC_DEVICE u32 atomic_add_acq_rel(u32* p, u32 n) {
  u32 old;
  asm volatile("atom.add.acq_rel.gpu.global.u32 %0, [%1], %2;"
               : "=r"(old)
               : "l"(__cvta_generic_to_global(p)), "r"(n)
               : "memory");
  return old;
}
