// What a launch did wrong, and how much it did.
#pragma once

#include <string>
#include <vector>

#include "abi.cuh"

namespace emu {

// Violation is one broken rule. One that repeats at the same instruction is kept
// once and counted.
struct Violation {
  const char* check;  // the rule's name, which tests compare with
  std::string message;
  u32 block, thread;
  u64 pc;  // the address after the call that found it, 0 where there is none
  u64 count;
};

struct Counters {
  u64 accesses, switches, barriers, mmas, copies;
};

struct Report {
  std::vector<Violation> violations;
  Counters counters = {};
  bool aborted = false;  // the rest of the launch was not executed
};

inline Report report;

// known counts one more violation of a rule at a place, if there was one already. To
// ask before a message is made keeps a kernel that breaks a rule a million times fast.
bool known(const char* check, const void* pc);

// violate adds a violation of the thread that runs; block and thread are 0 outside
// of a block. The message is formatted as by printf, and only for one that is kept.
__attribute__((format(printf, 3, 4))) void violate(const char* check, const void* pc, const char* format, ...);

}  // namespace emu
