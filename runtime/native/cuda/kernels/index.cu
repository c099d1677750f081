// Reading at indices and adding at indices, each sum in the order of its elements.
#include "cuda/kernels/each.cuh"
#include "cuda/kernels/elements.cuh"
#include "cuda/kernels/failure.cuh"
#include "cuda/kernels/index.hpp"
#include "cuda/kernels/indexing.cuh"

namespace ostinato::cuda {
namespace {

struct alignas(16) Word16 {
  uint64_t half[2];
};

// Index `at` of those in memory; -1 where it is out of range, which is reported.
__device__ __forceinline__ int64_t index_at(const char* at, DType dtype, uint32_t n,
                                            const IndexCheck& check) {
  const int64_t found = load<int64_t>(at, dtype);
  if (found >= 0 && found < n) return found;
  report(check.failure, check.op, found, n);
  return -1;
}

template <class T>
__device__ __forceinline__ void index_select(const SelectParams& p) {
  const int64_t item = item_of(p.index_dtype);
  for_each(p.count, [&](uint32_t i) {
    const uint32_t row = i / p.inner, at = i % p.inner;
    const uint32_t outer = row / p.m, k = row % p.m;
    const int64_t found = index_at(p.index + k * item, p.index_dtype, p.n, p.check);
    T y{};
    if (found >= 0) {
      const size_t place = (static_cast<size_t>(outer) * p.n + found) * p.inner + at;
      y = reinterpret_cast<const T*>(p.from)[place];
    }
    reinterpret_cast<T*>(p.to)[i] = y;
  });
}

template <class T>
__device__ __forceinline__ void gather(const GatherParams& p) {
  for_each(p.count, [&](uint32_t i) {
    const int64_t found =
        index_at(p.index + offset_of(p.index_axes, i), p.index_dtype, p.n, p.check);
    T y{};
    if (found >= 0) {
      y = *reinterpret_cast<const T*>(p.from + offset_of(p.from_axes, i) + found * p.step);
    }
    *reinterpret_cast<T*>(p.to + offset_of(p.to_axes, i)) = y;
  });
}

}  // namespace

#define OSTINATO_MOVES(SIZE, TYPE)                                              \
  OSTINATO_GLOBAL(index_select_##SIZE, SelectParams) { index_select<TYPE>(p); } \
  OSTINATO_GLOBAL(gather_##SIZE, GatherParams) { gather<TYPE>(p); }
OSTINATO_MOVES(1, uint8_t)
OSTINATO_MOVES(2, uint16_t)
OSTINATO_MOVES(4, uint32_t)
OSTINATO_MOVES(8, uint64_t)
OSTINATO_MOVES(16, Word16)

OSTINATO_GLOBAL(find_places, PlacesParams) {
  for_each(p.count, [&](uint32_t i) {
    const int64_t found =
        index_at(p.index + offset_of(p.index_axes, i), p.index_dtype, p.n, p.check);
    const uint32_t base = static_cast<uint32_t>(offset_of(p.base, i));
    p.to[i] = found < 0 ? p.nowhere : base + static_cast<uint32_t>(found) * p.step;
  });
}

}  // namespace ostinato::cuda
