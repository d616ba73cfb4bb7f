#include "report.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "block.h"

namespace emu {

// A broken kernel breaks its rules millions of times, mostly in few places.
constexpr size_t kKept = 64;

bool known(const char* check, const void* pc) {
  for (Violation& v : report.violations)
    if (v.pc == reinterpret_cast<u64>(pc) && !strcmp(v.check, check)) {
      v.count++;
      return true;
    }
  return false;
}

void violate(const char* check, const void* pc, const char* format, ...) {
  if (known(check, pc) || report.violations.size() == kKept) return;

  char text[512];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  report.violations.push_back({check, text, running_block(), running_thread(), reinterpret_cast<u64>(pc), 1});
}

}  // namespace emu
