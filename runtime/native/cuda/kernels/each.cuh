// The loop of kernels in which a thread makes one element after the other.
#pragma once
#include "cuda/kernels/params.hpp"
#include "cuda/kernels/target.cuh"

namespace ostinato::cuda {

// f(i) for each i < count; the threads of a grid take turns.
template <class F>
__device__ __forceinline__ void for_each(uint32_t count, F f) {
  const uint32_t threads = gridDim.x * blockDim.x;
  for (uint32_t i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += threads) f(i);
}

}  // namespace ostinato::cuda
