// Reductions of rows and of columns, in one stage or two. A state takes elements (`push`) and other
// states (`merge`), and says what they come to (`result`).
#pragma once
#include "cuda/kernels/group.cuh"
#include "cuda/kernels/indexing.cuh"
#include "cuda/kernels/reduce.hpp"

namespace ostinato::cuda {

template <class S>
__device__ __forceinline__ void put_result(const ReduceParams& p, uint32_t row, const S& state) {
  store(p.to + row * item_of(p.to_dtype), p.to_dtype, state.result(p));
}

template <class S>
__device__ __forceinline__ void put_state(const ReduceParams& p, uint32_t row, const S& state) {
  if (p.splits > 1) {
    static_cast<S*>(p.states)[static_cast<size_t>(row) * p.splits + blockIdx.y] = state;
  } else {
    put_result(p, row, state);
  }
}

// `end` - `begin` elements from `row` on, by this thread and those that are `lanes` apart.
template <class S>
__device__ __forceinline__ S reduce_dense(const char* row, DType dtype, uint32_t begin,
                                          uint32_t end, uint32_t lane, uint32_t lanes) {
  using T = typename S::Value;
  S state;
  const int64_t item = item_of(dtype);
  const uint32_t whole = begin + (end - begin) / kVector * kVector;
#pragma unroll 2
  for (uint32_t j = begin + lane * kVector; j < whole; j += lanes * kVector) {
    T x[kVector];
    load_vector<T>(row + j * item, dtype, x);
#pragma unroll
    for (int k = 0; k < kVector; ++k) state.push(x[k], j + k);
  }
  for (uint32_t j = whole + lane; j < end; j += lanes) {
    state.push(load<T>(row + j * item, dtype), j);
  }
  return state;
}

// A row is reduced by p.lanes threads.
template <class S>
__device__ __forceinline__ void reduce_rows(const ReduceParams& p) {
  using T = typename S::Value;
  const uint32_t row = blockIdx.x * (kThreads / p.lanes) + threadIdx.x / p.lanes;
  const uint32_t lane = threadIdx.x % p.lanes;
  const uint32_t begin = blockIdx.y * p.part, end = min(p.n, begin + p.part);
  S state;
  if (row < p.rows) {
    const char* from = p.from + offset_of(p.kept, row);
    if (p.is_dense) {
      state = reduce_dense<S>(from, p.from_dtype, begin, end, lane, p.lanes);
    } else {
#pragma unroll 4
      for (uint32_t j = begin + lane; j < end; j += p.lanes) {
        state.push(load<T>(from + offset_of(p.reduced, j), p.from_dtype), j);
      }
    }
  }
  if (p.lanes == kThreads) {
    join_block(state);
  } else {
    join_lanes(state, p.lanes);
  }
  if (row < p.rows && lane == 0) put_state(p, row, state);
}

// Neighbouring threads reduce neighbouring results.
template <class S>
__device__ __forceinline__ void reduce_columns(const ReduceParams& p) {
  using T = typename S::Value;
  __shared__ S states[kReduceRows][kReduceColumns];
  const uint32_t row = blockIdx.x * kReduceColumns + threadIdx.x;
  const uint32_t begin = blockIdx.y * p.part, end = min(p.n, begin + p.part);
  S state;
  if (row < p.rows) {
    const char* from = p.from + offset_of(p.kept, row);
#pragma unroll 4
    for (uint32_t j = begin + threadIdx.y; j < end; j += kReduceRows) {
      state.push(load<T>(from + offset_of(p.reduced, j), p.from_dtype), j);
    }
  }
  states[threadIdx.y][threadIdx.x] = state;
  __syncthreads();
  if (threadIdx.y != 0 || row >= p.rows) return;
  for (uint32_t y = 1; y < kReduceRows; ++y) state.merge(states[y][threadIdx.x]);
  put_state(p, row, state);
}

// The second stage: a warp joins the states of a row.
template <class S>
__device__ __forceinline__ void reduce_states(const ReduceParams& p) {
  const uint32_t row = blockIdx.x * (kThreads / kWarp) + threadIdx.x / kWarp;
  const uint32_t lane = threadIdx.x % kWarp;
  S state;
  if (row < p.rows) {
    const S* from = static_cast<const S*>(p.states) + static_cast<size_t>(row) * p.splits;
    for (uint32_t i = lane; i < p.splits; i += kWarp) state.merge(from[i]);
  }
  join_lanes(state, kWarp);
  if (row < p.rows && lane == 0) put_result(p, row, state);
}

#define OSTINATO_REDUCTION(NAME, STATE)                                       \
  OSTINATO_GLOBAL(NAME##_rows, ReduceParams) { reduce_rows<STATE>(p); }       \
  OSTINATO_GLOBAL(NAME##_columns, ReduceParams) { reduce_columns<STATE>(p); } \
  OSTINATO_GLOBAL(NAME##_states, ReduceParams) { reduce_states<STATE>(p); }

}  // namespace ostinato::cuda
