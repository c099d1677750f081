// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011).
#pragma once
#include <cstdint>

#include "cuda/kernels/target.cuh"

namespace ostinato::cuda {

// The four lanes of `counter` under the key `seed`.
struct Lanes {
  uint32_t at[4];

  __device__ __forceinline__ Lanes(uint64_t seed, uint64_t counter) {
    uint32_t words[4] = {static_cast<uint32_t>(counter), static_cast<uint32_t>(counter >> 32), 0,
                         0};
    uint32_t key0 = static_cast<uint32_t>(seed), key1 = static_cast<uint32_t>(seed >> 32);
#pragma unroll
    for (int round = 0; round < 10; ++round) {
      const uint64_t p0 = uint64_t{words[0]} * 0xD2511F53u;
      const uint64_t p1 = uint64_t{words[2]} * 0xCD9E8D57u;
      words[0] = static_cast<uint32_t>(p1 >> 32) ^ words[1] ^ key0;
      words[2] = static_cast<uint32_t>(p0 >> 32) ^ words[3] ^ key1;
      words[1] = static_cast<uint32_t>(p1);
      words[3] = static_cast<uint32_t>(p0);
      key0 += 0x9E3779B9u;
      key1 += 0xBB67AE85u;
    }
    for (int k = 0; k < 4; ++k) at[k] = words[k];
  }
};

}  // namespace ostinato::cuda
