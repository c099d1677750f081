// Running sums along an axis.
#include "cuda/kernels/each.cuh"
#include "cuda/kernels/scan.cuh"
#include "cuda/kernels/sort.hpp"

namespace ostinato::cuda {
namespace {

// What elements of T add up in: integers wrap.
template <class T>
using SumOf = std::conditional_t<std::is_integral_v<T>, uint64_t, T>;

// A block sums a row, kThreads elements after the other.
template <class T>
__device__ __forceinline__ void sum_rows(const ScanParams& p) {
  const int64_t from_item = item_of(p.from_dtype), to_item = item_of(p.to_dtype);
  for (uint32_t row = blockIdx.x; row < p.outer; row += gridDim.x) {
    const size_t start = static_cast<size_t>(row) * p.n;
    SumOf<T> before = 0;
    for (uint32_t first = 0; first < p.n; first += kThreads) {
      const uint32_t i = first + threadIdx.x;
      const bool exists = i < p.n;
      SumOf<T> own = 0, total;
      if (exists) {
        own = static_cast<SumOf<T>>(load<T>(p.from + (start + i) * from_item, p.from_dtype));
      }
      const T sum = static_cast<T>(before + block_scan(own, total));
      if (exists) store(p.to + (start + i) * to_item, p.to_dtype, sum);
      before += total;
    }
  }
}

// A thread sums a column.
template <class T>
__device__ __forceinline__ void sum_columns(const ScanParams& p) {
  const int64_t from_item = item_of(p.from_dtype), to_item = item_of(p.to_dtype);
  for_each(p.outer * p.inner, [&](uint32_t column) {
    size_t at = static_cast<size_t>(column / p.inner) * p.n * p.inner + column % p.inner;
    SumOf<T> sum = 0;
    for (uint32_t i = 0; i < p.n; ++i, at += p.inner) {
      sum += static_cast<SumOf<T>>(load<T>(p.from + at * from_item, p.from_dtype));
      store(p.to + at * to_item, p.to_dtype, static_cast<T>(sum));
    }
  });
}

}  // namespace

#define OSTINATO_SCAN(NAME, TYPE)                                      \
  OSTINATO_GLOBAL(scan_rows_##NAME, ScanParams) { sum_rows<TYPE>(p); } \
  OSTINATO_GLOBAL(scan_columns_##NAME, ScanParams) { sum_columns<TYPE>(p); }
OSTINATO_SCAN(float32, float)
OSTINATO_SCAN(float64, double)
OSTINATO_SCAN(int64, int64_t)

}  // namespace ostinato::cuda
