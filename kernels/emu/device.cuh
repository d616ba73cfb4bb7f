// The CPU's device.cuh: the names of kernels/gpu/device.cuh with the same meaning,
// so that one kernel text serves both. A text compiled with it is executed and
// checked by the runtime in this folder; kernels/harness drives that.
//
// g++ compiles the text with -fsanitize=thread, and the runtime defines the
// functions that the instrumented accesses call. So every load and store of a
// kernel is seen, but for those of local variables that never have their address
// taken: hence always_inline, which leaves almost everything in such variables.
#pragma once

#include "abi.cuh"

// bf16 is storage: the upper half of an f32. Arithmetic is in f32.
struct bf16 {
  u16 bits;
};

#define WRNC_MEMBER inline __attribute__((always_inline))
#define WRNC_DEVICE static WRNC_MEMBER

// A kernel has one parameter, `const Args args`. The runtime finds it by name: a
// function that takes the address of the arguments' bytes, and the numbers that a
// launch is checked against.
#define WRNC_KERNEL(name, threads, minblocks)                                      \
  static __attribute__((noinline)) void name(const Args args);                     \
  extern "C" {                                                                     \
  void name##_emu_run(const void* args) { name(*static_cast<const Args*>(args)); } \
  extern const u32 name##_emu_facts[2];                                            \
  const u32 name##_emu_facts[2] = {sizeof(Args), threads};                         \
  }                                                                                \
  static void name

#include "emu.cuh"

// ---- Where a thread is.

WRNC_DEVICE u32 thread_index() { return emu_thread_index(); }
WRNC_DEVICE u32 block_index() { return emu_block_index(); }
WRNC_DEVICE u32 block_count() { return emu_block_count(); }
WRNC_DEVICE u32 lane_index() { return thread_index() % 32; }
WRNC_DEVICE u32 warp_index() { return thread_index() / 32; }

// ---- Barriers. All threads of the block reach them.

WRNC_DEVICE void barrier(u32 line = __builtin_LINE()) { emu_barrier(line); }

// barrier_or is a barrier that returns whether p is true in any thread.
WRNC_DEVICE u32 barrier_or(bool p, u32 line = __builtin_LINE()) { return emu_barrier_or(p, line); }

// last_block is called once by all threads of each of `blocks` blocks. It returns
// true in every thread of the block that calls it last; there, all that the other
// blocks wrote to global memory before their call can be read. The counter must
// be 0 before the first call, and is 0 again after the last.
WRNC_DEVICE bool last_block(u32* counter, u32 blocks, u32 line = __builtin_LINE()) {
  return emu_last_block(counter, blocks, line);
}

// ---- Shared memory.

// Smem carves pieces out of the block's dynamic shared memory, in the order of the
// calls, each aligned to 16 bytes. A second Smem starts again at the beginning;
// a barrier must lie between the last use of the old pieces and the first of the
// new ones.
//
// Here pieces lie apart, and a second Smem lies elsewhere, so that the runtime sees
// an access that strays from its piece, and one to a piece of the old Smem.
struct Smem {
  WRNC_MEMBER explicit Smem(u32 total_bytes) { emu_smem_layout(total_bytes); }

  template <class T, u32 n>
  WRNC_MEMBER T* take() {
    static_assert(alignof(T) <= 16, "pieces are aligned to 16 bytes");
    return static_cast<T*>(emu_smem_take(sizeof(T) * n));
  }
};

// ---- Wide accesses.

// piece_of is the size and alignment of one access when so many bytes are moved.
template <u32 bytes>
constexpr u32 piece_of = bytes < 16 ? bytes : 16;

// Vec is what one wide access moves. Its size is 1, 2, 4, 8, 16 or 32 bytes.
template <class T, u32 N>
struct alignas(piece_of<sizeof(T) * N>) Vec {
  T v[N];
};

// Word is a built-in type of so many bytes: the compiler splits a copy of a struct
// into its elements, but not one of these.
template <u32 bytes>
struct Word;
template <>
struct Word<1> {
  using type = u8;
};
template <>
struct Word<2> {
  using type = u16;
};
template <>
struct Word<4> {
  using type = u32;
};
template <>
struct Word<8> {
  using type = u64;
};
template <>
struct Word<16> {
  using type = emu_u32x4;
};

// load reads N elements, from global or shared memory. p is aligned to the vector,
// to 16 bytes for one of 32.
template <class T, u32 N>
WRNC_DEVICE Vec<T, N> load(const T* p) {
  constexpr u32 piece = piece_of<sizeof(T) * N>, pieces = sizeof(T) * N / piece;
  using W = typename Word<piece>::type;
  W words[pieces];
  for (u32 i = 0; i < pieces; i++) words[i] = reinterpret_cast<const W*>(p)[i];
  Vec<T, N> v;
  static_assert(sizeof v == sizeof words, "a vector of 1, 2, 4, 8, 16 or 32 bytes");
  __builtin_memcpy(&v, words, sizeof v);
  return v;
}

// load_readonly is load from global memory that no thread of the kernel writes.
template <class T, u32 N>
WRNC_DEVICE Vec<T, N> load_readonly(const T* p) {
  emu_load_readonly(p, sizeof(T) * N);
  return load<T, N>(p);
}

// global tells the GPU's compiler that a pointer points to global memory; elsewhere
// its accesses would go astray.
template <class T>
WRNC_DEVICE T* global(T* p) {
  emu_global(p);
  return p;
}

// store writes N elements where load reads them.
template <class T, u32 N>
WRNC_DEVICE void store(T* p, Vec<T, N> v) {
  constexpr u32 piece = piece_of<sizeof(T) * N>, pieces = sizeof(T) * N / piece;
  using W = typename Word<piece>::type;
  W words[pieces];
  static_assert(sizeof v == sizeof words, "a vector of 1, 2, 4, 8, 16 or 32 bytes");
  __builtin_memcpy(words, &v, sizeof v);
  for (u32 i = 0; i < pieces; i++) reinterpret_cast<W*>(p)[i] = words[i];
}

// ---- Arithmetic. Kernels are compiled with -ffp-contract=off, so x*y + z rounds
// twice and fma once.

WRNC_DEVICE f32 fma(f32 a, f32 b, f32 c) { return __builtin_fmaf(a, b, c); }
WRNC_DEVICE f32 sqrt_(f32 a) { return __builtin_sqrtf(a); }
WRNC_DEVICE f32 div_(f32 a, f32 b) { return a / b; }

// exp_ and log_ may differ from the GPU's in the last bits.
WRNC_DEVICE f32 exp_(f32 a) { return emu_exp(a); }
WRNC_DEVICE f32 log_(f32 a) { return emu_log(a); }

// min_ and max_ return the second operand where either is NaN, and where both are
// equal: one rule that needs no reading of two machines' manuals.
WRNC_DEVICE f32 min_(f32 a, f32 b) { return a < b ? a : b; }
WRNC_DEVICE f32 max_(f32 a, f32 b) { return a > b ? a : b; }
WRNC_DEVICE i32 imin(i32 a, i32 b) { return a < b ? a : b; }
WRNC_DEVICE i32 imax(i32 a, i32 b) { return a > b ? a : b; }

WRNC_DEVICE u32 bits_of(f32 a) {
  u32 bits;
  __builtin_memcpy(&bits, &a, sizeof bits);
  return bits;
}
WRNC_DEVICE f32 from_bits(u32 a) {
  f32 value;
  __builtin_memcpy(&value, &a, sizeof value);
  return value;
}
WRNC_DEVICE u32 mul_hi(u32 a, u32 b) { return u32(u64(a) * b >> 32); }

// ---- Exchange inside a warp. All 32 lanes take part.

WRNC_DEVICE u32 shuffle_xor(u32 v, u32 mask, u32 line = __builtin_LINE()) { return emu_shuffle_xor(v, mask, line); }
WRNC_DEVICE f32 shuffle_xor(f32 v, u32 mask, u32 line = __builtin_LINE()) {
  return from_bits(emu_shuffle_xor(bits_of(v), mask, line));
}
WRNC_DEVICE u32 shuffle_down(u32 v, u32 n, u32 line = __builtin_LINE()) { return emu_shuffle_down(v, n, line); }
WRNC_DEVICE f32 shuffle_down(f32 v, u32 n, u32 line = __builtin_LINE()) {
  return from_bits(emu_shuffle_down(bits_of(v), n, line));
}
