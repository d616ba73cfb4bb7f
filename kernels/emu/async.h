// Asynchronous copies into shared memory (cp.async).
//
// A copy happens at some time between its start and its thread's wait for it. In a
// launch it lands either as early or as late as that allows. In both, its bytes are
// nobody's until the wait: who touches them is reported.
#pragma once

#include <stddef.h>

#include <vector>

#include "abi.cuh"

namespace emu {

struct AsyncCopy {
  u8* to;
  const u8* from;  // null: zeros
  u32 bytes;
  u32 group;
  const void* pc;
  u8 at_start[16] = {};  // what `from` held
};

// AsyncCopies is what a thread has started and not waited for, oldest first.
struct AsyncCopies {
  std::vector<AsyncCopy> flying;
  size_t landed = 0;  // of `flying`, from its beginning
  u32 group = 0;      // the one that is open
};

// copies_in_flight tells whether any thread of the block has copies in flight.
bool copies_in_flight();

void start_block_copies();
// finish_copies is called at the end of the running thread.
void finish_copies();

}  // namespace emu
