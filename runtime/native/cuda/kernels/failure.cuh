// Reports of kernels to the host.
#pragma once
#include "cuda/kernels/failure.hpp"
#include "cuda/kernels/target.cuh"

namespace ostinato::cuda {

// `op` is the op's id plus one.
__device__ __forceinline__ void report(Failure* failure, uint32_t op, int64_t index, int64_t size) {
  if (failure == nullptr || atomicCAS(&failure->op, 0u, op) != 0u) return;
  failure->index = index;
  failure->size = size;
}

}  // namespace ostinato::cuda
