// Fibers: stacks that one thread of the system switches between.
#pragma once

#include "abi.cuh"

namespace emu {

// emu_switch_stack keeps where it was called in *from, and returns from the call
// that `to` was kept by. It saves the registers that a called function must save,
// which is all that a call leaves alive.
extern "C" void emu_switch_stack(void** from, void* to);

constexpr u64 kStackBytes = 256 << 10;  // a quarter of it no stack uses

inline u64 stacks_base, stacks_bytes;
void reserve_stacks(u32 stacks);
inline bool on_a_stack(u64 address) { return address - stacks_base < stacks_bytes; }

// fresh_stack prepares stack i to start in entry, which must not return.
void* fresh_stack(u32 i, void (*entry)());

}  // namespace emu
