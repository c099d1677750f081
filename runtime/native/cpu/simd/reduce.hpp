// Reductions of dense rows and of columns.
#pragma once
#include "core/dtype.hpp"

namespace ostinato {

enum class Reduction : uint8_t { sum, product, maximum, minimum };

// Sums and products exist for float32, float64 and int64; the others also for int32 and uint8,
// which stands for bool.
struct ReduceFns {
  // The result of n elements side by side, in the order of simd/lanes.hpp.
  void (*row)(const void* x, int64_t n, void* result);
  // The results of `count` columns of elements `stride` (elements) apart, each in rising order.
  void (*columns)(const void* x, int64_t stride, int64_t rows, int64_t count, void* results);
  // The position of the first NaN, else of the first element equal to the result.
  int64_t (*find)(const void* x, int64_t n);
};

}  // namespace ostinato
