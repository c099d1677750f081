// multinomial: a block draws from a row of weights.
#include <cmath>

#include "cuda/kernels/draw.hpp"
#include "cuda/kernels/elements.cuh"
#include "cuda/kernels/failure.cuh"
#include "cuda/kernels/scan.cuh"

namespace ostinato::cuda {
namespace {

struct WeightsState {
  uint32_t positive = 0, negative = 0;
  __device__ void merge(const WeightsState& o) {
    positive += o.positive;
    negative += o.negative;
  }
};

__device__ __forceinline__ double weight(const DrawParams& p, uint32_t row, uint32_t k) {
  const size_t at = static_cast<size_t>(row) * p.n + k;
  return load<double>(p.weights + at * item_of(p.weights_dtype), p.weights_dtype);
}

__device__ __forceinline__ double uniform(uint32_t lane) {
  return static_cast<double>(lane >> 8) * 0x1p-24;
}

__device__ __forceinline__ void check_weights(const DrawParams& p, uint32_t row) {
  WeightsState state;
  for (uint32_t k = threadIdx.x; k < p.n; k += kThreads) {
    const double w = weight(p, row, k);
    state.positive += w > 0 ? 1u : 0u;
    state.negative += w < 0 ? 1u : 0u;
  }
  join_block(state);
  if (threadIdx.x != 0 || (state.negative == 0 && state.positive >= p.needed)) return;
  report(p.failure, p.op, row, -1);
}

// A key and the place that it is drawn for.
struct KeyState {
  double key = __builtin_huge_val();
  int64_t at = -1;
  __device__ bool precedes(const KeyState& o) const {
    return key < o.key || (key == o.key && at < o.at);
  }
  __device__ void merge(const KeyState& o) {
    if (o.at >= 0 && (at < 0 || o.precedes(*this))) *this = o;
  }
};

}  // namespace

// With replacement: the first place whose running sum exceeds the number times the row's sum.
OSTINATO_GLOBAL(draw_again, DrawParams) {
  const uint32_t row = blockIdx.x;
  double* sums = p.room + static_cast<size_t>(row) * p.n;
  check_weights(p, row);
  double before = 0;
  for (uint32_t first = 0; first < p.n; first += kThreads) {
    const uint32_t k = first + threadIdx.x;
    double total;
    const double through = block_scan(k < p.n ? weight(p, row, k) : 0.0, total);
    if (k < p.n) sums[k] = before + through;
    before += total;
  }
  __syncthreads();
  for (uint32_t j = threadIdx.x; j < p.samples; j += kThreads) {
    const size_t at = static_cast<size_t>(row) * p.samples + j;
    const double target = uniform(p.lanes[at]) * sums[p.n - 1];
    uint32_t low = 0, high = p.n;
    while (low < high) {
      const uint32_t middle = (low + high) / 2;
      if (sums[middle] > target) {
        high = middle;
      } else {
        low = middle + 1;
      }
    }
    p.to[at] = low;
  }
}

// Without: the places of the smallest keys -ln(u) / weight, in order.
OSTINATO_GLOBAL(draw_once, DrawParams) {
  const uint32_t row = blockIdx.x;
  const size_t start = static_cast<size_t>(row) * p.n;
  check_weights(p, row);
  for (uint32_t k = threadIdx.x; k < p.n; k += kThreads) {
    const double w = weight(p, row, k), u = uniform(p.lanes[start + k]) + 0x1p-24;
    p.room[start + k] = w > 0 ? -log(u) / w : __builtin_huge_val();
  }
  __syncthreads();
  __shared__ KeyState last;
  if (threadIdx.x == 0) last = {-1.0, -1};
  for (uint32_t j = 0; j < p.samples; ++j) {
    __syncthreads();
    const KeyState previous = last;
    KeyState next;
    for (uint32_t k = threadIdx.x; k < p.n; k += kThreads) {
      const KeyState own{p.room[start + k], k};
      if (previous.precedes(own)) next.merge(own);
    }
    join_block(next);
    if (threadIdx.x != 0) continue;
    p.to[static_cast<size_t>(row) * p.samples + j] = next.at;
    last = next;
  }
}

}  // namespace ostinato::cuda
