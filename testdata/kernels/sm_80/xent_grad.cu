// gradient of softmax cross-entropy by the logits
//
//   %0 = xent_grad a0, a1 : f32[N,1,1,10]
//   a2 = %0
#include "xent.cuh"

struct Args {
  const f32* a0;
  const i32* a1;
  f32* a2;
  i32 n;
};

using Shape = LossShape<10, 4, 256>;  // classes, threads that share a sample, threads

WRNC_KERNEL(xent_grad_10_b0a3cdc7, 256, 1)(const Args args) {
  xent_grad<Shape>(args.a0, args.a1, args.a2, args.n);
}
