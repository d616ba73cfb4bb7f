#include "module.h"

#include <dlfcn.h>
#include <link.h>

#include <vector>

namespace emu {

struct Module {
  void* handle;
  u64 base, begin, end;
};
static std::vector<Module> modules;

static int find_range(dl_phdr_info* info, size_t, void* data) {
  Module& m = *static_cast<Module*>(data);
  if (info->dlpi_addr != m.base) return 0;
  for (int i = 0; i < info->dlpi_phnum; i++) {
    const auto& segment = info->dlpi_phdr[i];
    if (segment.p_type != PT_LOAD) continue;
    const u64 begin = info->dlpi_addr + segment.p_vaddr, end = begin + segment.p_memsz;
    if (begin < m.begin) m.begin = begin;
    if (end > m.end) m.end = end;
  }
  return 1;
}

bool load_module(const std::string& path, u32& module, std::string& error) {
  void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle) {
    error = dlerror();
    return false;
  }
  Module m = {handle, static_cast<link_map*>(handle)->l_addr, ~u64(0), 0};
  dl_iterate_phdr(find_range, &m);
  module = u32(modules.size());
  modules.push_back(m);
  return true;
}

bool find_kernel(u32 module, const std::string& name, Kernel& kernel, std::string& error) {
  if (module >= modules.size()) {
    error = "no such module";
    return false;
  }
  void* handle = modules[module].handle;
  void* run = dlsym(handle, (name + "_emu_run").c_str());
  void* facts = dlsym(handle, (name + "_emu_facts").c_str());
  if (!run || !facts) {
    error = "the text has no WRNC_KERNEL(" + name + ", ...)";
    return false;
  }
  const u32* numbers = static_cast<const u32*>(facts);
  kernel = {reinterpret_cast<void (*)(const void*)>(run), numbers[0], numbers[1]};
  return true;
}

bool in_module(u64 address) {
  for (const Module& m : modules)
    if (address >= m.begin && address < m.end) return true;
  return false;
}

u64 module_offset(u32 module, u64 address) {
  const Module& m = modules[module];
  return address >= m.begin && address < m.end ? address - m.base : 0;
}

}  // namespace emu
