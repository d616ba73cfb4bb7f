// The functions that g++'s sanitizers make a kernel call: -fsanitize=thread before
// each access to memory, -fsanitize=bounds where an index leaves its array. No
// sanitizer's library is linked: these are all there is.
#include <string.h>

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

// A copy of a size that the compiler does not know is a call, which no hook precedes.
// The linker sends these calls here (-Wl,--wrap).
void* __wrap_memcpy(void* to, const void* from, u64 bytes) {
  access_bytes(reinterpret_cast<uptr>(from), bytes, false, CALLER);
  access_bytes(reinterpret_cast<uptr>(to), bytes, true, CALLER);
  return memcpy(to, from, bytes);
}

void* __wrap_memmove(void* to, const void* from, u64 bytes) {
  access_bytes(reinterpret_cast<uptr>(from), bytes, false, CALLER);
  access_bytes(reinterpret_cast<uptr>(to), bytes, true, CALLER);
  return memmove(to, from, bytes);
}

void* __wrap_memset(void* to, int value, u64 bytes) {
  access_bytes(reinterpret_cast<uptr>(to), bytes, true, CALLER);
  return memset(to, value, bytes);
}

// What the compiler tells of the place: the types follow only for some.
struct Place {
  const char* file;
  u32 line, column;
  const struct {
    u16 kind, info;
    char name[1];
  } * type;
};

// A local array is no memory of a GPU's, so only the compiler sees its bounds. The
// access would hit whatever lies beside it on the stack; so this is the end.
void __ubsan_handle_out_of_bounds(Place* p, u64 index) {
  abort_launch("array-bounds", CALLER, "index %lld of a %s, line %u", i64(index), p->type->name, p->line);
}

#define OVERFLOW(handler, operation)                                                                       \
  void __ubsan_handle_##handler(Place* p, u64, u64) {                                                     \
    violate("overflow", CALLER, "a signed " operation " overflows %s, line %u", p->type->name, p->line);  \
  }
OVERFLOW(add_overflow, "addition")
OVERFLOW(sub_overflow, "subtraction")
OVERFLOW(mul_overflow, "multiplication")
OVERFLOW(negate_overflow, "negation")

// A GPU's division by zero is some number, here it is a signal.
void __ubsan_handle_divrem_overflow(Place* p, u64, u64) {
  abort_launch("overflow", CALLER, "a division by zero, or of the least %s by -1, line %u", p->type->name, p->line);
}

void __ubsan_handle_shift_out_of_bounds(Place* p, u64, u64) {
  violate("overflow", CALLER, "a shift of a %s by its width or more, line %u", p->type->name, p->line);
}

}  // extern "C"
