// Shared memory of the running block.
#pragma once

#include <string>

#include "shadow.h"

namespace emu {

void reserve_shared();

// Before a launch with so many bytes, after it, and before each of its blocks.
void start_shared(u32 bytes);
void finish_shared();
void start_block_shared();

// forget_blocks makes all shared memory unwritten.
void forget_blocks();

// smem_began_now tells whether the current Smem replaced another in this interval.
bool smem_began_now();

// describe_shared says where an address lies, by the pieces of its Smem.
std::string describe_shared(uptr a);

}  // namespace emu
