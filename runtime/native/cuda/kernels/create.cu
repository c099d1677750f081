// Tensors from numbers, and triangles of matrices.
#include "cuda/kernels/create.hpp"
#include "cuda/kernels/each.cuh"
#include "cuda/kernels/pointwise.cuh"

namespace ostinato::cuda {
namespace {

template <class T>
__device__ __forceinline__ void iota(const IotaParams& p) {
  const T first = argument<T>(p.start, 0), step = argument<T>(p.step, 0);
  for_each(p.count, [&](uint32_t i) {
    T y;
    if constexpr (std::is_same_v<T, double>) {
      y = first + step * static_cast<double>(i);
    } else {
      y = static_cast<T>(static_cast<uint64_t>(first) + static_cast<uint64_t>(step) * i);
    }
    store(p.to + i * item_of(p.to_dtype), p.to_dtype, y);
  });
}

template <class T>
__device__ __forceinline__ void triangle(const TriangleParams& p) {
  for_each(p.count, [&](uint32_t i) {
    const int64_t column = i % p.columns, row = i / p.columns % p.rows;
    const int64_t right = column - row;  // of the main diagonal
    const bool kept = p.upper ? right >= p.diagonal : right <= p.diagonal;
    reinterpret_cast<T*>(p.to)[i] = kept ? reinterpret_cast<const T*>(p.from)[i] : T(0);
  });
}

}  // namespace

OSTINATO_GLOBAL(iota_int64, IotaParams) { iota<int64_t>(p); }
OSTINATO_GLOBAL(iota_float64, IotaParams) { iota<double>(p); }

OSTINATO_GLOBAL(one_hot, OneHotParams) {
  for_each(p.count, [&](uint32_t i) {
    const uint32_t row = i / p.classes, number = i % p.classes;
    const int64_t named = load<int64_t>(p.index + row * item_of(p.index_dtype), p.index_dtype);
    store(p.to + i * item_of(p.to_dtype), p.to_dtype, int64_t{named == number});
  });
}

#define OSTINATO_TRIANGLE(SIZE, TYPE) \
  OSTINATO_GLOBAL(triangle_##SIZE, TriangleParams) { triangle<TYPE>(p); }
OSTINATO_TRIANGLE(1, uint8_t)
OSTINATO_TRIANGLE(2, uint16_t)
OSTINATO_TRIANGLE(4, uint32_t)
OSTINATO_TRIANGLE(8, uint64_t)

}  // namespace ostinato::cuda
