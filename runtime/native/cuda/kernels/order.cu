// topk: a block finds the first elements of a line one after the other, each the first of those
// that follow the one before it. NaN is larger than all numbers; the earlier of equals is first.
#include "cuda/kernels/group.cuh"
#include "cuda/kernels/order.hpp"

namespace ostinato::cuda {
namespace {

template <class T, bool kLargest>
struct Found {
  T value = 0;
  int64_t at = -1;  // -1 before any element

  __device__ bool precedes(const Found& o) const {
    const T x = kLargest ? value : o.value, y = kLargest ? o.value : value;
    if (x > y || (x != x && y == y)) return true;
    return !(y > x || (y != y && x == x)) && at < o.at;
  }
  __device__ void merge(const Found& o) {
    if (o.at >= 0 && (at < 0 || o.precedes(*this))) *this = o;
  }
};

template <class T, bool kLargest>
__device__ __forceinline__ void find_first(const OrderParams& p) {
  using State = Found<T, kLargest>;
  const int64_t item = item_of(p.dtype);
  __shared__ State last;
  for (uint32_t line = blockIdx.x; line < p.lines; line += gridDim.x) {
    const size_t row = line / p.inner, column = line % p.inner;
    const char* from = p.from + (row * p.n * p.inner + column) * item;
    if (threadIdx.x == 0) last = State();
    for (uint32_t j = 0; j < p.k; ++j) {
      __syncthreads();
      const State previous = last;
      State next;
      for (uint32_t i = threadIdx.x; i < p.n; i += kThreads) {
        const State own{load<T>(from + static_cast<size_t>(i) * p.inner * item, p.dtype), i};
        if (previous.at < 0 || previous.precedes(own)) next.merge(own);
      }
      join_block(next);
      if (threadIdx.x != 0) continue;
      const size_t to = (row * p.k + j) * p.inner + column;
      store(p.values + to * item, p.dtype, next.value);
      p.index[to] = next.at;
      last = next;
    }
    __syncthreads();
  }
}

}  // namespace

#define OSTINATO_ORDER(NAME, TYPE)                                            \
  OSTINATO_GLOBAL(largest_##NAME, OrderParams) { find_first<TYPE, true>(p); } \
  OSTINATO_GLOBAL(smallest_##NAME, OrderParams) { find_first<TYPE, false>(p); }
OSTINATO_ORDER(float32, float)
OSTINATO_ORDER(float64, double)
OSTINATO_ORDER(int64, int64_t)

}  // namespace ostinato::cuda
