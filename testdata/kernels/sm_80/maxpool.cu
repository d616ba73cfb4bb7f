// maxpool, a window of 3x3, stride 2, over [N,112,112,64]
//
//   %0 = maxpool a0 {pad=1, stride=2, kernel=3} : f32[N,56,56,64]
//   a1 = %0
#include "maxpool.cuh"

struct Args {
  const f32* a0;
  f32* a1;
  i32 n;
};

using Shape = WindowShape<112, 112, 64, 56, 56, 3, 1, 2>;  // H W C, P Q, R pad stride

WRNC_KERNEL(maxpool_112x112x64_577a1c21, 256, 2)(const Args args) {
  maxpool<Shape, 4, 256>(args.a0, args.a1, args.n);
}
