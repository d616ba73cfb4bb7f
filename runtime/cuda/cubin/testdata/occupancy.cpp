// Prints what cuda_occupancy.h of CUDA answers, for TestOccupancy:
//	g++ -I.../include occupancy.cpp -o occupancy && ./occupancy > occupancy.txt
// Each line: architecture, threads, registers, static and dynamic shared memory,
// barriers, then blocks on a multiprocessor.
#include <cstddef>
#include <cstdio>
#include <cstring>

#include "cuda_occupancy.h"

struct Machine {
  int arch, threads, shared;
};

int main() {
  const Machine machines[] = {{80, 2048, 164}, {86, 1536, 100}, {87, 1536, 164}, {89, 1536, 100}, {90, 2048, 228},
                              {100, 2048, 228}, {103, 2048, 228}, {120, 1536, 100}, {121, 1536, 100}};
  const int threads[] = {32, 96, 128, 256, 352, 512, 1024};
  const int registers[] = {16, 40, 96, 97, 128, 168, 255};
  const int shared[][2] = {{0, 0}, {400, 0}, {0, 16384}, {16, 33000}, {0, 49152}, {0, 65536}, {0, 101376}, {0, 101377}, {0, 166912}, {0, 232448}};
  const int barriers[] = {1, 16};
  // A pseudo-random eighth of all combinations.
  unsigned state = 1;
  for (const Machine& m : machines)
    for (int t : threads)
      for (int r : registers)
        for (auto& s : shared)
          for (int b : barriers) {
            state = state * 1664525u + 1013904223u;
            if (state >> 29) continue;
            cudaOccDeviceProp p;
            memset(&p, 0, sizeof p);
            p.computeMajor = m.arch / 10, p.computeMinor = m.arch % 10;
            p.maxThreadsPerBlock = 1024, p.maxThreadsPerMultiprocessor = m.threads;
            p.regsPerBlock = p.regsPerMultiprocessor = 65536;
            p.warpSize = 32, p.sharedMemPerBlock = 49152, p.sharedMemPerMultiprocessor = m.shared << 10;
            p.numSms = 1, p.sharedMemPerBlockOptin = (m.shared - 1) << 10, p.reservedSharedMemPerBlock = 1024;
            cudaOccFuncAttributes a;
            memset(&a, 0, sizeof a);
            a.maxThreadsPerBlock = 1024, a.numRegs = r, a.sharedSizeBytes = s[0];
            a.partitionedGCConfig = PARTITIONED_GC_OFF, a.shmemLimitConfig = FUNC_SHMEM_LIMIT_OPTIN;
            a.maxDynamicSharedSizeBytes = ((m.shared - 1) << 10) - s[0], a.numBlockBarriers = b;
            cudaOccDeviceState st;
            memset(&st, 0, sizeof st);
            st.cacheConfig = CACHE_PREFER_SHARED, st.carveoutConfig = SHAREDMEM_CARVEOUT_MAX_SHARED;
            cudaOccResult out;
            cudaOccError e = cudaOccMaxActiveBlocksPerMultiprocessor(&out, &p, &a, &st, t, s[1]);
            printf("%d %d %d %d %d %d  %d\n", m.arch, t, r, s[0], s[1], b, e ? -int(e) : out.activeBlocksPerMultiprocessor);
          }
}
