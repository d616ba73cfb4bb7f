// Kernels with known facts, for the tests of Parse and Mnemonics.

extern "C" __global__ void plain(float* x) { x[threadIdx.x] *= 2.0f; }

// 400 bytes of static shared memory, one barrier, a bound on threads.
extern "C" __global__ void __launch_bounds__(128) shared(float* x, int n) {
  __shared__ float tile[100];
  if (threadIdx.x < 100) tile[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  x[threadIdx.x] = tile[threadIdx.x * n % 100];
}

// An array that is indexed at run time lies in local memory: 256 bytes.
extern "C" __global__ void local(float* x, int n) {
  float a[64];
  for (int i = 0; i < 64; i++) a[i] = x[i];
  for (int i = 0; i < n; i++) a[i * n % 64] += 1.0f;
  x[n] = a[n % 64];
}

// One wide load, one wide store, four fused multiply-adds.
extern "C" __global__ void wide(float4* x, float s) {
  float4 v = x[threadIdx.x];
  v.x = fmaf(v.x, s, s), v.y = fmaf(v.y, s, s), v.z = fmaf(v.z, s, s), v.w = fmaf(v.w, s, s);
  x[threadIdx.x] = v;
}
