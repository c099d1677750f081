// Running sums over the threads of a block, in a fixed order.
#pragma once
#include "cuda/kernels/group.cuh"

namespace ostinato::cuda {

// The sum of `v` over this thread of the block and those before it; `total` is that of all of them.
template <class T>
__device__ __forceinline__ T block_scan(T v, T& total) {
  constexpr uint32_t kWarps = kThreads / kWarp;
  __shared__ T sums[kWarps];
  const uint32_t lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  for (uint32_t delta = 1; delta < kWarp; delta *= 2) {
    const T before =
        shuffled(v, [=](uint32_t word) { return __shfl_up_sync(0xffffffffu, word, delta); });
    if (lane >= delta) v += before;
  }
  __syncthreads();  // what an earlier call left has been read
  if (lane == kWarp - 1) sums[warp] = v;
  __syncthreads();
  T before = T(0);
  total = T(0);
  for (uint32_t w = 0; w < kWarps; ++w) {
    if (w == warp) before = total;
    total += sums[w];
  }
  return before + v;
}

}  // namespace ostinato::cuda
