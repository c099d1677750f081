// Matrix products too small or too narrow for a BLAS call, and inner products.
#pragma once
#include <cstdint>

namespace ostinato {

inline constexpr int64_t kSmallSide = 16;
inline constexpr int64_t kFewRows = 16;

// Element (i, j) is at data[i * row + j * column].
template <class T>
struct Matrix {
  T* data;
  int64_t row;
  int64_t column;
};

template <class T>
struct SmallProducts {
  // c = a b for sides up to kSmallSide; c has rows `ldc` apart. With `adds`, c += a b.
  void (*product)(int64_t m, int64_t n, int64_t k, Matrix<const T> a, Matrix<const T> b, T* c,
                  int64_t ldc, bool adds);
  // c = a b, or c += a b, for up to kFewRows rows, where BLAS takes longer to pack b than to
  // multiply. Either b has dense rows and n is a multiple of 16, or a has dense rows and b dense
  // columns.
  void (*few_rows)(int64_t m, int64_t n, int64_t k, Matrix<const T> a, Matrix<const T> b, T* c,
                   int64_t ldc, bool adds);
  // The inner product of n elements side by side, in the order of simd/lanes.hpp.
  T (*dot)(const T* x, const T* y, int64_t n);
};

}  // namespace ostinato
