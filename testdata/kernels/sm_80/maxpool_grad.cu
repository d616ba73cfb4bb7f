// gradient of maxpool, a window of 3x3, stride 2, over [N,112,112,64]
//
//   %0 = maxpool_grad a0, a1 {pad=1, stride=2, kernel=3} : f32[N,112,112,64]
//   a2 = %0
#include "maxpool.cuh"

struct Args {
  const f32* a0;
  const f32* a1;
  f32* a2;
  i32 n;
};

using Shape = WindowShape<112, 112, 64, 56, 56, 3, 1, 2>;  // H W C, P Q, R pad stride

WRNC_KERNEL(maxpool_grad_112x112x64_bcefbede, 256, 2)(const Args args) {
  maxpool_grad<Shape, 4, 256>(args.a0, args.a1, args.a2, args.n);
}
