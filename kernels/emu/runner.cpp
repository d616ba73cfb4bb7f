// The program that executes kernels. It obeys requests from standard input until
// that ends, and answers each on standard output; package kernels/harness is the
// other side.
//
// A request is its kind and the number of bytes that follow, an answer a status and
// the same. Numbers are little-endian; a string is its length and its bytes.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "block.h"
#include "fiber.h"
#include "memory.h"
#include "module.h"
#include "shared.h"

namespace emu {

alignas(64) static u8 args_buffer[4096];

bool private_memory(u64 a) {
  const u64 args = reinterpret_cast<u64>(args_buffer);
  return on_a_stack(a) || in_module(a) || a - args < sizeof args_buffer;
}

namespace {

enum class Request : u32 { kAllocate = 1, kFree, kWrite, kRead, kPoison, kLoad, kLaunch };
enum class Status : u32 { kDone, kFailed };

void read_all(void* to, u64 n) {
  if (n && fread(to, 1, n, stdin) != n) exit(0);  // the other side is gone
}

void write_all(const void* from, u64 n) {
  if (n && fwrite(from, 1, n, stdout) != n) exit(1);
}

void answer(Status status, const void* bytes, u64 n) {
  write_all(&status, sizeof status);
  write_all(&n, sizeof n);
  write_all(bytes, n);
  fflush(stdout);
}

void fail(const std::string& why) { answer(Status::kFailed, why.data(), why.size()); }

// Input reads the fields of a request.
struct Input {
  std::vector<u8> bytes;
  u64 at = 0;

  const u8* take(u64 n) {
    if (n > bytes.size() - at) {
      fprintf(stderr, "emu: a request is too short\n");
      exit(1);
    }
    at += n;
    return bytes.data() + at - n;
  }
  template <class T>
  T number() {
    T v;
    memcpy(&v, take(sizeof v), sizeof v);
    return v;
  }
  std::string string() {
    const u32 n = number<u32>();
    return std::string(reinterpret_cast<const char*>(take(n)), n);
  }
  u64 rest() const { return bytes.size() - at; }
};

// Output writes the fields of an answer.
struct Output {
  std::string bytes;

  template <class T>
  void number(T v) {
    bytes.append(reinterpret_cast<const char*>(&v), sizeof v);
  }
  void string(const std::string& s) {
    number(u32(s.size()));
    bytes += s;
  }
};

void do_allocate(Input& in) {
  const u64 n = in.number<u64>();
  const u64 address = allocate(n, in.number<u32>() != 0);
  if (!address) return fail("out of device memory");
  answer(Status::kDone, &address, sizeof address);
}

void do_free(Input& in) {
  if (!release(in.number<u64>())) return fail("not the address of an allocation");
  answer(Status::kDone, nullptr, 0);
}

// do_write reads the bytes straight to where they belong: there may be many.
void do_write(u64 n) {
  u64 address;
  read_all(&address, sizeof address);
  n -= sizeof address;
  if (u8* to = host_range(address, n)) {
    read_all(to, n);
    host_wrote(address, n);
    return answer(Status::kDone, nullptr, 0);
  }
  std::vector<u8> skipped(n);
  read_all(skipped.data(), n);
  fail("a write that no allocation holds");
}

void do_read(Input& in) {
  const u64 address = in.number<u64>(), n = in.number<u64>();
  const u8* from = host_range(address, n);
  if (!from) return fail("a read that no allocation holds");
  answer(Status::kDone, from, n);
}

void do_poison(Input& in) {
  const u64 address = in.number<u64>(), n = in.number<u64>();
  if (!host_range(address, n)) return fail("bytes that no allocation holds");
  poison(address, n);
  answer(Status::kDone, nullptr, 0);
}

void do_load(Input& in) {
  u32 module;
  std::string error;
  if (!load_module(in.string(), module, error)) return fail(error);
  answer(Status::kDone, &module, sizeof module);
}

void do_launch(Input& in) {
  const u32 module = in.number<u32>();
  Launch l = {};
  l.blocks = in.number<u32>();
  l.threads = in.number<u32>();
  l.shared = in.number<u32>();
  l.order = Order(in.number<u32>());
  l.early = in.number<u32>() != 0;
  l.seed = in.number<u64>();
  const std::string name = in.string();

  Kernel kernel;
  std::string error;
  if (!find_kernel(module, name, kernel, error)) return fail(error);
  if (in.rest() != kernel.args_bytes)
    return fail("Args has " + std::to_string(kernel.args_bytes) + " bytes, the launch gives " + std::to_string(in.rest()));
  if (kernel.args_bytes > sizeof args_buffer) return fail("Args is larger than a GPU takes");
  if (l.threads != kernel.threads || l.threads > kMaxThreads)
    return fail("the kernel is for " + std::to_string(kernel.threads) + " threads, the launch has " + std::to_string(l.threads));
  if (l.blocks == 0) return fail("a launch without blocks");
  memcpy(args_buffer, in.take(kernel.args_bytes), kernel.args_bytes);
  l.run = kernel.run;
  l.args = args_buffer;
  run(l);

  Output out;
  out.number(report.counters);
  out.number(u32(report.aborted));
  out.number(u32(report.violations.size()));
  for (const Violation& v : report.violations) {
    out.string(v.check);
    out.string(v.message);
    out.number(v.block);
    out.number(v.thread);
    out.number(v.count);
    out.number(module_offset(module, v.pc));
  }
  answer(Status::kDone, out.bytes.data(), out.bytes.size());
}

void on_crash(int sig, siginfo_t* info, void*) {
  char text[160];
  const char* why = sig == SIGSEGV && on_a_stack(reinterpret_cast<u64>(info->si_addr)) ? "stack overflow" : "crash";
  const int n = snprintf(text, sizeof text, "%s (signal %d, address %p) in block %u thread %u\n", why, sig, info->si_addr,
                         running_block(), running_thread());
  if (write(STDERR_FILENO, text, size_t(n)) != n) _exit(4);
  _exit(3);
}

// A kernel that never ends must not outlive the test that runs it.
pid_t parent;
void on_alarm(int) {
  if (getppid() != parent) _exit(5);
}

// Signals get a stack of their own: that of the fiber may be what has run out.
void handle_signals() {
  static u8 stack[64 << 10];
  stack_t s = {};
  s.ss_sp = stack;
  s.ss_size = sizeof stack;
  sigaltstack(&s, nullptr);
  struct sigaction crash = {};
  crash.sa_sigaction = on_crash;
  crash.sa_flags = SA_SIGINFO | SA_ONSTACK;
  for (const int sig : {SIGSEGV, SIGBUS, SIGFPE, SIGILL}) sigaction(sig, &crash, nullptr);

  parent = getppid();
  struct sigaction alarm = {};
  alarm.sa_handler = on_alarm;
  alarm.sa_flags = SA_ONSTACK | SA_RESTART;
  sigaction(SIGALRM, &alarm, nullptr);
  const itimerval each_second = {{1, 0}, {1, 0}};
  setitimer(ITIMER_REAL, &each_second, nullptr);
}

}  // namespace
}  // namespace emu

int main() {
  using namespace emu;
  handle_signals();
  reserve_memory();
  reserve_shared();
  reserve_threads();
  for (;;) {
    Request request;
    u64 n;
    read_all(&request, sizeof request);
    read_all(&n, sizeof n);
    if (request == Request::kWrite) {
      do_write(n);
      continue;
    }
    Input in;
    in.bytes.resize(n);
    read_all(in.bytes.data(), n);
    switch (request) {
      case Request::kAllocate: do_allocate(in); break;
      case Request::kFree: do_free(in); break;
      case Request::kRead: do_read(in); break;
      case Request::kPoison: do_poison(in); break;
      case Request::kLoad: do_load(in); break;
      case Request::kLaunch: do_launch(in); break;
      default: fail("unknown request");
    }
  }
}
