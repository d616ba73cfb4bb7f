// The GPU's device.cuh: all that a kernel may use, for sm_80 and newer.
//
// kernels/emu/device.cuh has the same names with the same meaning on the CPU, so
// one kernel text serves both. NVRTC compiles this with no CUDA header: what is
// used here (threadIdx, uint4, fmaf, __shfl_xor_sync, ...) is built into it.
// Blocks and grids have one dimension.
#pragma once

// A kernel uses some of this file; "declared but never referenced" would bury
// the warnings that matter.
#pragma nv_diag_suppress 177

using u8 = unsigned char;
using u16 = unsigned short;
using u32 = unsigned int;
using u64 = unsigned long long;
using i32 = int;
using i64 = long long;
using f32 = float;

// bf16 is storage: the upper half of an f32. Arithmetic is in f32.
struct bf16 {
  u16 bits;
};

static_assert(sizeof(u8) == 1 && sizeof(u16) == 2 && sizeof(u32) == 4 && sizeof(u64) == 8, "integer sizes");
static_assert(sizeof(bf16) == 2 && alignof(bf16) == 2, "bf16 is two bytes in memory");

#define WRNC_DEVICE static __device__ __forceinline__
#define WRNC_MEMBER __device__ __forceinline__
#define WRNC_KERNEL(name, threads, minblocks) extern "C" __global__ void __launch_bounds__(threads, minblocks) name

#include "ptx.cuh"

// ---- Where a thread is.

WRNC_DEVICE u32 thread_index() { return threadIdx.x; }
WRNC_DEVICE u32 block_index() { return blockIdx.x; }
WRNC_DEVICE u32 block_count() { return gridDim.x; }
WRNC_DEVICE u32 lane_index() { return threadIdx.x % 32; }
WRNC_DEVICE u32 warp_index() { return threadIdx.x / 32; }

// ---- Barriers. All threads of the block reach them.

WRNC_DEVICE void barrier() { __syncthreads(); }

// barrier_or is a barrier that returns whether p is true in any thread.
WRNC_DEVICE u32 barrier_or(bool p) { return __syncthreads_or(p) != 0; }

// last_block is called once by all threads of each of `blocks` blocks. It returns
// true in every thread of the block that calls it last; there, all that the other
// blocks wrote to global memory before their call can be read. The counter must
// be 0 before the first call, and is 0 again after the last.
//
// The barrier before the ticket orders the whole block's writes before thread 0's
// atomic addition, and the one after orders the addition before the whole block's
// reads. Release and acquire are cumulative, so what one thread's addition
// publishes or sees holds for its block.
WRNC_DEVICE bool last_block(u32* counter, u32 blocks) {
  barrier();
  bool last = false;
  if (thread_index() == 0) {
    last = atomic_add_acq_rel(counter, 1) == blocks - 1;
    if (last) *counter = 0;  // no block comes after; the next kernel finds 0
  }
  return barrier_or(last);
}

// ---- Shared memory.

// Smem carves pieces out of the block's dynamic shared memory, in the order of the
// calls, each aligned to 16 bytes. A second Smem starts again at the beginning;
// a barrier must lie between the last use of the old pieces and the first of the
// new ones.
//
// Sizes are constants, so the check of the total costs nothing in a kernel that
// passes it.
struct Smem {
  u32 total, used;

  WRNC_MEMBER explicit Smem(u32 total_bytes) : total(total_bytes), used(0) {}

  template <class T, u32 n>
  WRNC_MEMBER T* take() {
    static_assert(alignof(T) <= 16, "pieces are aligned to 16 bytes");
    extern __shared__ __align__(16) u8 wrnc_shared[];
    T* const piece = reinterpret_cast<T*>(wrnc_shared + used);
    used += (u32(sizeof(T)) * n + 15) / 16 * 16;
    if (used > total) __trap();
    return piece;
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

// Word is the built-in type that the compiler moves in one access of so many bytes.
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
  using type = uint2;
};
template <>
struct Word<16> {
  using type = uint4;
};

// load reads N elements, from global or shared memory. p is aligned to the vector,
// to 16 bytes for one of 32.
//
// A copy of the struct would leave it to the optimiser whether the elements travel
// together. The memcpy is between registers.
template <class T, u32 N>
WRNC_DEVICE Vec<T, N> load(const T* p) {
  constexpr u32 piece = piece_of<sizeof(T) * N>, pieces = sizeof(T) * N / piece;
  using W = typename Word<piece>::type;
  W words[pieces];
#pragma unroll
  for (u32 i = 0; i < pieces; i++) words[i] = reinterpret_cast<const W*>(p)[i];
  Vec<T, N> v;
  static_assert(sizeof v == sizeof words, "a vector of 1, 2, 4, 8, 16 or 32 bytes");
  memcpy(&v, words, sizeof v);
  return v;
}

// load_readonly is load from global memory that no thread of the kernel writes. The
// compiler may move such a load over stores to other memory, which it may not do
// with others, since it knows no pointer's limits.
template <class T, u32 N>
WRNC_DEVICE Vec<T, N> load_readonly(const T* p) {
  constexpr u32 piece = piece_of<sizeof(T) * N>, pieces = sizeof(T) * N / piece;
  using W = typename Word<piece>::type;
  W words[pieces];
#pragma unroll
  for (u32 i = 0; i < pieces; i++) words[i] = __ldg(reinterpret_cast<const W*>(p) + i);
  Vec<T, N> v;
  static_assert(sizeof v == sizeof words, "a vector of 1, 2, 4, 8, 16 or 32 bytes");
  memcpy(&v, words, sizeof v);
  return v;
}

// global tells the compiler that a pointer points to global memory. It sees that of
// the kernel's arguments, but not of a pointer that was itself read from memory.
template <class T>
WRNC_DEVICE T* global(T* p) {
  __builtin_assume(__isGlobal(p));
  return p;
}

// store writes N elements where load reads them.
template <class T, u32 N>
WRNC_DEVICE void store(T* p, Vec<T, N> v) {
  constexpr u32 piece = piece_of<sizeof(T) * N>, pieces = sizeof(T) * N / piece;
  using W = typename Word<piece>::type;
  W words[pieces];
  static_assert(sizeof v == sizeof words, "a vector of 1, 2, 4, 8, 16 or 32 bytes");
  memcpy(words, &v, sizeof v);
#pragma unroll
  for (u32 i = 0; i < pieces; i++) reinterpret_cast<W*>(p)[i] = words[i];
}

// ---- Arithmetic. Kernels are compiled with --fmad=false, so x*y + z rounds twice
// and fma once.

WRNC_DEVICE f32 fma(f32 a, f32 b, f32 c) { return __fmaf_rn(a, b, c); }
WRNC_DEVICE f32 sqrt_(f32 a) { return __fsqrt_rn(a); }
WRNC_DEVICE f32 div_(f32 a, f32 b) { return __fdiv_rn(a, b); }

// exp_ and log_ may differ from the CPU's in the last bits.
WRNC_DEVICE f32 exp_(f32 a) { return expf(a); }
WRNC_DEVICE f32 log_(f32 a) { return logf(a); }

// min_ and max_ return the second operand where either is NaN, and where both are
// equal: one rule that needs no reading of two machines' manuals.
WRNC_DEVICE f32 min_(f32 a, f32 b) { return a < b ? a : b; }
WRNC_DEVICE f32 max_(f32 a, f32 b) { return a > b ? a : b; }
WRNC_DEVICE i32 imin(i32 a, i32 b) { return a < b ? a : b; }
WRNC_DEVICE i32 imax(i32 a, i32 b) { return a > b ? a : b; }

WRNC_DEVICE u32 bits_of(f32 a) { return __float_as_uint(a); }
WRNC_DEVICE f32 from_bits(u32 a) { return __uint_as_float(a); }
WRNC_DEVICE u32 mul_hi(u32 a, u32 b) { return __umulhi(a, b); }

// ---- Exchange inside a warp. All 32 lanes take part.

constexpr u32 all_lanes = 0xffffffff;

WRNC_DEVICE u32 shuffle_xor(u32 v, u32 mask) { return __shfl_xor_sync(all_lanes, v, mask); }
WRNC_DEVICE f32 shuffle_xor(f32 v, u32 mask) { return __shfl_xor_sync(all_lanes, v, mask); }
WRNC_DEVICE u32 shuffle_down(u32 v, u32 n) { return __shfl_down_sync(all_lanes, v, n); }
WRNC_DEVICE f32 shuffle_down(f32 v, u32 n) { return __shfl_down_sync(all_lanes, v, n); }
