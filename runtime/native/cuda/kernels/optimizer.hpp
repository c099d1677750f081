// Parameters of the kernels of optimizer.cu.
#pragma once
#include "cuda/kernels/params.hpp"

namespace ostinato::cuda {

// As cpu/simd/optimizer.hpp has them.
inline constexpr int kMostStates = 4;  // tensors that a step reads or writes: param, grad, two more
inline constexpr int kFactors = 7;
inline constexpr int kMostGroup = 48;  // parameters of one launch

// Parameter k has the blocks from first_block[k] to the next one's. Tensors are dense, those of one
// place in one dtype; results are param, then the states. Where a parameter's number of steps lies
// on the device, the factors that depend on it are combined there (cpu/optimizer.hpp).
struct StepParams {
  uint32_t parameters;
  DType from_dtypes[kMostStates];
  DType to_dtypes[kMostStates - 1];
  double factors[kFactors];
  double with_step[2];
  DType step_dtype;
  const char* step[kMostGroup];
  uint32_t first_block[kMostGroup + 1];
  uint32_t count[kMostGroup];
  const char* from[kMostGroup][kMostStates];
  char* to[kMostGroup][kMostStates - 1];
};

static_assert(sizeof(StepParams) <= 4096, "what a launch takes");

inline constexpr uint32_t kStepPart = 2048;  // elements of a block

}  // namespace ostinato::cuda
