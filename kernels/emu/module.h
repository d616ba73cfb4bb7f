// Kernels' texts, compiled to shared objects.
#pragma once

#include <string>

#include "abi.cuh"

namespace emu {

struct Kernel {
  void (*run)(const void* args);
  u32 args_bytes, threads;
};

// load_module loads the shared object at path and returns its number, or says why
// it cannot.
bool load_module(const std::string& path, u32& module, std::string& error);
bool find_kernel(u32 module, const std::string& name, Kernel& kernel, std::string& error);

// The bytes that modules' kernels can read without asking: their constants. An
// offset into the file is what a debugger's tools take.
bool in_module(u64 address);
u64 module_offset(u32 module, u64 address);  // 0 if the address is not in it

}  // namespace emu
