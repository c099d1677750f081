// States of the threads of a group joined in a fixed order, so that results never differ.
#pragma once
#include "cuda/kernels/elements.cuh"

namespace ostinato::cuda {

inline constexpr uint32_t kWarp = 32;

// `v` as another lane of the warp has it, word by word: `shuffle` moves a word.
template <class S, class F>
__device__ __forceinline__ S shuffled(const S& v, F shuffle) {
  static_assert(sizeof(S) % 4 == 0);
  union Words {
    S value;
    uint32_t words[sizeof(S) / 4];
    __device__ Words() {}
  } w;
  w.value = v;
#pragma unroll
  for (uint32_t i = 0; i < sizeof(S) / 4; ++i) w.words[i] = shuffle(w.words[i]);
  return w.value;
}

// The first of each `lanes` lanes (a power of two up to 32) gets the states of all of them.
template <class S>
__device__ __forceinline__ void join_lanes(S& state, uint32_t lanes) {
  for (uint32_t delta = lanes / 2; delta > 0; delta /= 2) {
    state.merge(
        shuffled(state, [=](uint32_t word) { return __shfl_down_sync(0xffffffffu, word, delta); }));
  }
}

// The first thread of the block gets the states of all kThreads threads.
template <class S>
__device__ __forceinline__ void join_block(S& state) {
  constexpr uint32_t kWarps = kThreads / kWarp;
  __shared__ S states[kWarps];
  join_lanes(state, kWarp);
  __syncthreads();  // what an earlier call left has been read
  if (threadIdx.x % kWarp == 0) states[threadIdx.x / kWarp] = state;
  __syncthreads();
  if (threadIdx.x < kWarp) {
    state = threadIdx.x < kWarps ? states[threadIdx.x] : S();
    join_lanes(state, kWarps);
  }
}

// Every thread of a warp (`lanes` 32) or of the block (kThreads) gets the joined state.
template <class S>
__device__ __forceinline__ S joined(S state, uint32_t lanes) {
  if (lanes == kWarp) {
    join_lanes(state, kWarp);
    return shuffled(state, [](uint32_t word) { return __shfl_sync(0xffffffffu, word, 0); });
  }
  __shared__ S result;
  join_block(state);
  if (threadIdx.x == 0) result = state;
  __syncthreads();
  return result;
}

}  // namespace ostinato::cuda
