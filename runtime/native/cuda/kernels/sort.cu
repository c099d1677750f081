// A stable radix sort of 32-bit keys and their numbers, least digit first: each pass counts the
// digits of each block, adds up where each block's keys of a digit go, and moves them there.
#include "cuda/kernels/scan.cuh"
#include "cuda/kernels/sort.hpp"

namespace ostinato::cuda {

OSTINATO_GLOBAL(sort_count, SortParams) {
  __shared__ uint32_t counts[kDigits];
  counts[threadIdx.x] = 0;
  __syncthreads();
  const uint32_t first = blockIdx.x * kSortTile, last = min(p.count, first + kSortTile);
  for (uint32_t i = first + threadIdx.x; i < last; i += kThreads) {
    atomicAdd(&counts[p.keys[i] >> p.shift & (kDigits - 1)], 1u);
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
  constexpr uint32_t kWarps = kThreads / kWarp, kRun = kSortTile / kWarps;
  __shared__ uint32_t next[kWarps][kDigits];  // where a warp's next key of a digit goes
  const uint32_t lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  for (uint32_t w = 0; w < kWarps; ++w) next[w][threadIdx.x] = 0;
  __syncthreads();
  const uint32_t first = blockIdx.x * kSortTile + warp * kRun;
  const uint32_t last = min(p.count, first + kRun);
  for (uint32_t i = first + lane; i < last; i += kWarp) {
    atomicAdd(&next[warp][p.keys[i] >> p.shift & (kDigits - 1)], 1u);
  }
  __syncthreads();
  uint32_t at = p.table[threadIdx.x * p.blocks + blockIdx.x];
  for (uint32_t w = 0; w < kWarps; ++w) {
    const uint32_t count = next[w][threadIdx.x];
    next[w][threadIdx.x] = at;
    at += count;
  }
  __syncthreads();
  for (uint32_t step = first; step < first + kRun; step += kWarp) {
    const uint32_t i = step + lane;
    const bool exists = i < last;
    const uint32_t key = exists ? p.keys[i] : 0;
    const uint32_t digit = exists ? key >> p.shift & (kDigits - 1) : kDigits;
    const uint32_t alike = __match_any_sync(0xffffffffu, digit);
    const uint32_t before = __popc(alike & ((1u << lane) - 1));
    uint32_t to = 0;
    if (exists) to = next[warp][digit] + before;
    __syncwarp();
    if (exists && before == 0) next[warp][digit] += __popc(alike);
    __syncwarp();
    if (!exists) continue;
    p.keys_to[to] = key;
    p.numbers_to[to] = p.numbers ? p.numbers[i] : i;
  }
}

}  // namespace ostinato::cuda
