// Global memory: allocations in one reserved range, far apart, so that an access
// which strays from one meets addresses of nobody.
#pragma once

#include <string>

#include "shadow.h"

namespace emu {

struct Allocation {
  uptr base, bytes;
  u32 number;  // in order of allocation, for messages
};

void reserve_memory();

// allocate returns the address of new memory, aligned to 256 bytes as a GPU's is,
// or 0 where the range is used up. Reading what nobody has written is a violation
// unless initialised is true; the memory holds NaN.
uptr allocate(u64 bytes, bool initialised);
bool release(uptr base);

// host_range returns the memory of [a, a+bytes) if one allocation holds it.
u8* host_range(uptr a, u64 bytes);
// host_wrote makes the bytes readable, poison makes them NaN that nobody has written.
void host_wrote(uptr a, u64 bytes);
void poison(uptr a, u64 bytes);

// describe_global says where an address lies, by the nearest allocation.
std::string describe_global(uptr a);

// forget_launches turns all that launches wrote into bytes of the host, so that
// intervals can be numbered from the start again.
void forget_launches();

}  // namespace emu
