// Products of matrices that fit in the cache, in registers: c (+)= a b with b and c in dense rows.
#pragma once
#include <algorithm>

#include "cpu/simd/lanes.hpp"

#if defined(__FMA__)
#include <immintrin.h>
#endif

namespace ostinato::OSTINATO_ISA {

// a * b + c, rounded once where the machine can.
template <class T>
OSTINATO_INLINE Vector<T> multiply_add(Vector<T> a, Vector<T> b, Vector<T> c) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4)
    return _mm512_fmadd_ps(a, b, c);
  else
    return _mm512_fmadd_pd(a, b, c);
#elif defined(__FMA__)
  if constexpr (sizeof(T) == 4)
    return _mm256_fmadd_ps(a, b, c);
  else
    return _mm256_fmadd_pd(a, b, c);
#else
  return a * b + c;
#endif
}

#if defined(__AVX512F__)
inline constexpr int kTileRows = 8;  // of 32 registers, 16 hold sums
#else
inline constexpr int kTileRows = 6;  // of 16 registers, 12 hold sums
#endif
inline constexpr int kTileVectors = 2;

// Element (i, p) of a is at a[i * row + p * column].
template <class T>
struct Left {
  const T* data;
  int64_t row, column;
};

template <class T, int kRows, int kVectors>
OSTINATO_INLINE void tile(int64_t k, Left<T> a, const T* b, int64_t ldb, T* c, int64_t ldc,
                          bool adds) {
  constexpr int kWidth = static_cast<int>(sizeof(Vector<T>) / sizeof(T));
  Vector<T> sums[kRows][kVectors];
  for (int i = 0; i < kRows; ++i) {
    for (int v = 0; v < kVectors; ++v) {
      sums[i][v] = adds ? load(c + i * ldc + v * kWidth) : Vector<T>{};
    }
  }
  for (int64_t p = 0; p < k; ++p) {
    Vector<T> row[kVectors];
    for (int v = 0; v < kVectors; ++v) row[v] = load(b + p * ldb + v * kWidth);
    for (int i = 0; i < kRows; ++i) {
      const Vector<T> x = broadcast(a.data[i * a.row + p * a.column]);
      for (int v = 0; v < kVectors; ++v) sums[i][v] = multiply_add<T>(x, row[v], sums[i][v]);
    }
  }
  for (int i = 0; i < kRows; ++i) {
    for (int v = 0; v < kVectors; ++v) store<T>(c + i * ldc + v * kWidth, sums[i][v]);
  }
}

template <class T, int kVectors>
OSTINATO_INLINE void tile_columns(int64_t m, int64_t k, Left<T> a, const T* b, int64_t ldb, T* c,
                                  int64_t ldc, bool adds) {
  int64_t i = 0;
  const auto from = [&](int64_t row) { return Left<T>{a.data + row * a.row, a.row, a.column}; };
  for (; i + kTileRows <= m; i += kTileRows) {
    tile<T, kTileRows, kVectors>(k, from(i), b, ldb, c + i * ldc, ldc, adds);
  }
  if (i + 4 <= m) {
    tile<T, 4, kVectors>(k, from(i), b, ldb, c + i * ldc, ldc, adds);
    i += 4;
  }
  for (; i + 2 <= m; i += 2) tile<T, 2, kVectors>(k, from(i), b, ldb, c + i * ldc, ldc, adds);
  if (i < m) tile<T, 1, kVectors>(k, from(i), b, ldb, c + i * ldc, ldc, adds);
}

// c (m, n) = a (m, k) b (k, n), or += with `adds`; n is a multiple of 16.
template <class T>
void tile_product(int64_t m, int64_t n, int64_t k, Left<T> a, const T* b, int64_t ldb, T* c,
                  int64_t ldc, bool adds) {
  constexpr int64_t kWidth = sizeof(Vector<T>) / sizeof(T);
  int64_t j = 0;
  for (; j + kTileVectors * kWidth <= n; j += kTileVectors * kWidth) {
    tile_columns<T, kTileVectors>(m, k, a, b + j, ldb, c + j, ldc, adds);
  }
  for (; j < n; j += kWidth) tile_columns<T, 1>(m, k, a, b + j, ldb, c + j, ldc, adds);
}

}  // namespace ostinato::OSTINATO_ISA
