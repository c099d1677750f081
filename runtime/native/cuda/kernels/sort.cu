// A stable radix sort of 32-bit keys and their numbers, least digit first: each pass counts the
// digits of each block, adds up where each block's keys of a digit go, and moves them there.
#include "cuda/kernels/scan.cuh"
#include "cuda/kernels/sort.hpp"

namespace ostinato::cuda {
namespace {

__device__ __forceinline__ uint32_t digit_of(const SortParams& p, uint32_t key) {
  return key >> p.shift & (kDigits - 1);
}

}  // namespace

OSTINATO_GLOBAL(sort_count, SortParams) {
  __shared__ uint32_t counts[kDigits];
  counts[threadIdx.x] = 0;
  __syncthreads();
  const uint32_t first = blockIdx.x * kSortTile, last = min(p.count, first + kSortTile);
  uint32_t keys[kSortTile / kThreads];
#pragma unroll
  for (uint32_t s = 0; s < kSortTile / kThreads; ++s) {
    const uint32_t i = first + s * kThreads + threadIdx.x;
    keys[s] = i < last ? p.keys[i] : 0;
  }
#pragma unroll
  for (uint32_t s = 0; s < kSortTile / kThreads; ++s) {
    if (first + s * kThreads + threadIdx.x < last) atomicAdd(&counts[digit_of(p, keys[s])], 1u);
  }
  __syncthreads();
  p.table[threadIdx.x * p.blocks + blockIdx.x] = counts[threadIdx.x];
}

// One block: each entry of the table becomes the sum of those before it.
OSTINATO_GLOBAL(sort_offsets, SortParams) {
  const uint32_t entries = kDigits * p.blocks;
  uint32_t before = 0;
  for (uint32_t first = 0; first < entries; first += kThreads) {
    const uint32_t own = p.table[first + threadIdx.x];
    uint32_t total;
    const uint32_t through = block_scan(own, total);
    p.table[first + threadIdx.x] = before + through - own;
    before += total;
  }
}

// Each warp moves a run of the block's keys in order; those of one digit keep theirs.
OSTINATO_GLOBAL(sort_move, SortParams) {
  constexpr uint32_t kWarps = kThreads / kWarp, kRun = kSortTile / kWarps, kSteps = kRun / kWarp;
  __shared__ uint32_t next[kWarps][kDigits];  // where a warp's next key of a digit goes
  const uint32_t lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  for (uint32_t w = 0; w < kWarps; ++w) next[w][threadIdx.x] = 0;
  __syncthreads();
  const uint32_t first = blockIdx.x * kSortTile + warp * kRun;
  const uint32_t last = min(p.count, first + kRun);
  uint32_t keys[kSteps], numbers[kSteps];  // all on their way before the first is waited for
#pragma unroll
  for (uint32_t s = 0; s < kSteps; ++s) {
    const uint32_t i = first + s * kWarp + lane;
    keys[s] = i < last ? p.keys[i] : 0;
    numbers[s] = i < last && p.numbers ? p.numbers[i] : i;
  }
#pragma unroll
  for (uint32_t s = 0; s < kSteps; ++s) {
    if (first + s * kWarp + lane < last) atomicAdd(&next[warp][digit_of(p, keys[s])], 1u);
  }
  __syncthreads();
  uint32_t at = p.table[threadIdx.x * p.blocks + blockIdx.x];
  for (uint32_t w = 0; w < kWarps; ++w) {
    const uint32_t count = next[w][threadIdx.x];
    next[w][threadIdx.x] = at;
    at += count;
  }
  __syncthreads();
#pragma unroll
  for (uint32_t s = 0; s < kSteps; ++s) {
    const bool exists = first + s * kWarp + lane < last;
    const uint32_t digit = exists ? digit_of(p, keys[s]) : kDigits;
    const uint32_t alike = __match_any_sync(0xffffffffu, digit);
    const uint32_t before = __popc(alike & ((1u << lane) - 1));
    uint32_t to = 0;
    if (exists) to = next[warp][digit] + before;
    __syncwarp();
    if (exists && before == 0) next[warp][digit] += __popc(alike);
    __syncwarp();
    if (!exists) continue;
    p.keys_to[to] = keys[s];
    p.numbers_to[to] = numbers[s];
  }
}

}  // namespace ostinato::cuda
