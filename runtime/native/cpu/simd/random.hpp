// Philox4x32-10 (Salmon et al., 2011) and what dense loops make of its lanes.
#pragma once
#include <cstdint>

namespace ostinato {

// Element i of a random tensor is lane i mod 4 of counter offset + i / 4 under the key seed.
struct RandomState {
  uint64_t seed;
  uint64_t offset;
};

struct RandomFns {
  // Lanes 4 block to 4 (block + blocks) - 1.
  void (*lanes)(RandomState state, uint64_t block, int64_t blocks, uint32_t* to);
  // Standard normal numbers of elements first to first + n - 1.
  void (*normals)(RandomState state, int64_t first, int64_t n, float* to);
  // y = x * scale where the uniform number of the lane is at least p, else 0.
  void (*drop)(const uint32_t* lanes, float p, const float* x, float scale, float* y, int64_t n);
  void (*drop_wide)(const uint32_t* lanes, float p, const double* x, double scale, double* y,
                    int64_t n);
};

}  // namespace ostinato
