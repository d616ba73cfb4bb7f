#include "fiber.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

asm(R"(
  .text
  .globl emu_switch_stack
  .type emu_switch_stack, @function
emu_switch_stack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
  .size emu_switch_stack, .-emu_switch_stack
)");

namespace emu {

void reserve_stacks(u32 n) {
  stacks_bytes = n * kStackBytes;
  void* p = mmap(nullptr, stacks_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) {
    perror("emu: cannot reserve stacks");
    exit(1);
  }
  stacks_base = reinterpret_cast<u64>(p);
  // A stack that grows into its neighbour's should end the process instead: a frame
  // is seldom as large as what lies between.
  for (u32 i = 0; i < n; i++) mprotect(static_cast<u8*>(p) + i * kStackBytes, kStackBytes / 4, PROT_NONE);
}

void* fresh_stack(u32 i, void (*entry)()) {
  // The stacks' tops are a power of two apart. Were all used from the very top, the
  // hot parts of all would fall into the same few sets of the first cache.
  const u64 colour = u64(i) * 320 % 16384 / 64 * 64;
  void** sp = reinterpret_cast<void**>(stacks_base + (i + 1) * kStackBytes - 64 - colour);
  *--sp = nullptr;  // where entry would return to; it also aligns the stack for a function just called
  *--sp = reinterpret_cast<void*>(entry);
  for (int k = 0; k < 6; k++) *--sp = nullptr;
  return sp;
}

}  // namespace emu
