// wide: every width of load and store, each of which is one instruction, but for
// 32 bytes, which are two.
#include "device.cuh"

struct Args {
  const u8* a;
  const bf16* b;
  const f32* f;
  u8* c;
  bf16* d;
  f32* g;
};

template <class T, u32 N>
WRNC_DEVICE void move(const T* from, T* to) {
  store<T, N>(to + thread_index() * N, load<T, N>(from + thread_index() * N));
}

WRNC_KERNEL(wide, 128, 1)(const Args x) {
  move<u8, 1>(x.a, x.c);
  move<bf16, 1>(x.b, x.d);
  move<u8, 4>(x.a, x.c);
  move<bf16, 2>(x.b, x.d);
  move<f32, 1>(x.f, x.g);
  move<bf16, 4>(x.b, x.d);
  move<f32, 2>(x.f, x.g);
  move<u8, 16>(x.a, x.c);
  move<bf16, 8>(x.b, x.d);
  move<f32, 4>(x.f, x.g);
  move<bf16, 16>(x.b, x.d);
  move<f32, 8>(x.f, x.g);
}
