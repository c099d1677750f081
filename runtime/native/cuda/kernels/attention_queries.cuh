// How a warp's 16 queries go through the keys that they look at.
#pragma once
#include "cuda/kernels/attention.cuh"

namespace ostinato::cuda {

// Where a block of queries lies. The last queries come first: causal ones look at the most keys.
struct QueryBlock {
  uint32_t head, block, first_row;  // the first row is that of this warp

  __device__ __forceinline__ explicit QueryBlock(const AttentionParams& p)
      : head(blockIdx.x % p.heads),
        block(p.blocks - 1 - blockIdx.x / p.heads),
        first_row(block * kAttentionBlock + threadIdx.x / kWarp * 16) {}
};

// Brings keys and values into their tiles, and calls `take(first_key, first)` for each kStep keys
// that this warp's queries look at: what they have lies in the rows of the tiles from `first`.
template <class Factors, class Keys, class Values, class Take>
__device__ __forceinline__ void over_keys(const AttentionParams& p, const QueryBlock& at,
                                          const Keys& keys, const Values& values, Take take) {
  const HeadMatrix key(p.key, at.head, p.keys, p.width);
  const HeadMatrix value(p.value, at.head, p.keys, p.value_width);
  const uint32_t end = p.is_causal ? min(p.keys, (at.block + 1) * kAttentionBlock) : p.keys;
  for (uint32_t first = 0; first < end; first += kAttentionBlock) {
    const typename Factors::Staged next_keys(key, first), next_values(value, first);
    __syncthreads();  // the tiles before have been used
    next_keys.put(keys);
    next_values.put(values);
    __syncthreads();
#pragma unroll 1
    for (uint32_t step = 0; step < kAttentionBlock; step += Factors::kStep) {
      const uint32_t first_key = first + step;
      if (first_key >= end || (p.is_causal && first_key > at.first_row + 15)) break;
      take(first_key, step);
    }
  }
}

}  // namespace ostinato::cuda
