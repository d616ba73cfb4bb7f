// What a kernel's text calls in the program that executes it: the border between
// the CPU's device.cuh, compiled into each text, and the runtime beside this file,
// compiled once.
//
// Values cross it in registers. Were an accumulator passed by address, the
// compiler would have to treat every later use of it as an access to memory.
// `line` is where the text calls: threads that meet must come from the same line.
#pragma once

using u8 = unsigned char;
using u16 = unsigned short;
using u32 = unsigned int;
using u64 = unsigned long long;
using i32 = int;
using i64 = long long;
using f32 = float;

typedef u32 emu_u32x2 __attribute__((vector_size(8)));
typedef u32 emu_u32x4 __attribute__((vector_size(16)));
typedef f32 emu_f32x4 __attribute__((vector_size(16)));

extern "C" {

// A thread keeps its indices for life, so `const` is true of these: the compiler
// asks once, not after each barrier.
u32 emu_thread_index() __attribute__((const));
u32 emu_block_index() __attribute__((const));
u32 emu_block_count() __attribute__((const));

void emu_barrier(u32 line);
u32 emu_barrier_or(u32 p, u32 line);
u32 emu_last_block(u32* counter, u32 blocks, u32 line);

void emu_smem_layout(u32 total);
void* emu_smem_take(u32 bytes);

// Only the checks: before a load, and of a pointer.
void emu_load_readonly(const void* global, u32 bytes);
void emu_global(const void* p);

u32 emu_shuffle_xor(u32 v, u32 mask, u32 line);
u32 emu_shuffle_down(u32 v, u32 n, u32 line);

void emu_cp_async(void* shared, const void* global, u32 bytes, u32 valid);
void emu_cp_async_commit();
void emu_cp_async_wait(u32 groups);

emu_u32x4 emu_ldmatrix(const void* row, u32 matrices, u32 trans, u32 line);
emu_f32x4 emu_mma_bf16(emu_f32x4 d, emu_u32x4 a, emu_u32x2 b, u32 line);
emu_f32x4 emu_mma_tf32(emu_f32x4 d, emu_u32x4 a, emu_u32x2 b, u32 line);

f32 emu_exp(f32 a);
f32 emu_log(f32 a);

}  // extern "C"
