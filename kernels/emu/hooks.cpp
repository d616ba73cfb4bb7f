// The functions that -fsanitize=thread makes a kernel call before each access to
// memory. No sanitizer's library is linked: these are all there is.
#include "block.h"
#include "shadow.h"

using namespace emu;

#define CALLER __builtin_return_address(0)

namespace {

// The compiler promises that the address of an aligned access is a multiple of its
// size; the machine that executes it here does not mind, a GPU does.
template <u32 bytes, bool kWrite>
inline __attribute__((always_inline)) void aligned_access(void* p, const void* pc) {
  const uptr a = reinterpret_cast<uptr>(p);
  if (__builtin_expect(a % bytes != 0, false)) misaligned(a, bytes, kWrite, pc);
  access<bytes, kWrite>(a, pc);
}

template <u32 bytes, bool kWrite>
inline __attribute__((always_inline)) void unaligned_access(void* p, const void* pc) {
  access_bytes(reinterpret_cast<uptr>(p), bytes, kWrite, pc);
}

}  // namespace

#define HOOKS(bytes)                                                                             \
  void __tsan_read##bytes(void* p) { aligned_access<bytes, false>(p, CALLER); }                  \
  void __tsan_write##bytes(void* p) { aligned_access<bytes, true>(p, CALLER); }                  \
  void __tsan_unaligned_read##bytes(void* p) { unaligned_access<bytes, false>(p, CALLER); }      \
  void __tsan_unaligned_write##bytes(void* p) { unaligned_access<bytes, true>(p, CALLER); }      \
  void __tsan_volatile_read##bytes(void* p) { aligned_access<bytes, false>(p, CALLER); }         \
  void __tsan_volatile_write##bytes(void* p) { aligned_access<bytes, true>(p, CALLER); }

extern "C" {

HOOKS(2)
HOOKS(4)
HOOKS(8)
HOOKS(16)

void __tsan_read1(void* p) { unaligned_access<1, false>(p, CALLER); }
void __tsan_write1(void* p) { unaligned_access<1, true>(p, CALLER); }
void __tsan_read_range(void* p, u64 bytes) { access_bytes(reinterpret_cast<uptr>(p), bytes, false, CALLER); }
void __tsan_write_range(void* p, u64 bytes) { access_bytes(reinterpret_cast<uptr>(p), bytes, true, CALLER); }
void __tsan_init() {}

}  // extern "C"
