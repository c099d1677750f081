#include "cpu/simd/small_product.hpp"

#include "cpu/simd/lanes.hpp"

namespace ostinato::OSTINATO_ISA {
namespace {

// Rows of b and c are kept at a width that fills vectors; the columns beyond n are zeros.
template <class T, int kWidth>
void product_of_width(int64_t m, int64_t n, int64_t k, Matrix<const T> a, Matrix<const T> b, T* c,
                      int64_t ldc, bool adds) {
  T rows[kSmallSide][kWidth] = {};
  for (int64_t p = 0; p < k; ++p) {
    const T* source = b.data + p * b.row;
    if (b.column == 1) {
      std::memcpy(rows[p], source, static_cast<size_t>(n) * sizeof(T));
    } else {
      for (int64_t j = 0; j < n; ++j) rows[p][j] = source[j * b.column];
    }
  }
  for (int64_t i = 0; i < m; ++i) {
    T total[kWidth] = {};
    for (int64_t p = 0; p < k; ++p) {
      const T x = a.data[i * a.row + p * a.column];
      for (int j = 0; j < kWidth; ++j) total[j] += x * rows[p][j];
    }
    T* out = c + i * ldc;
    if (adds) {
      for (int64_t j = 0; j < n; ++j) out[j] += total[j];
    } else if (n == kWidth) {
      std::memcpy(out, total, sizeof total);
    } else {
      std::memcpy(out, total, static_cast<size_t>(n) * sizeof(T));
    }
  }
}

template <class T>
void product(int64_t m, int64_t n, int64_t k, Matrix<const T> a, Matrix<const T> b, T* c,
             int64_t ldc, bool adds) {
  const auto fn = n <= 8 ? product_of_width<T, 8> : product_of_width<T, 16>;
  fn(m, n, k, a, b, c, ldc, adds);
}

template <class T>
T dot(const T* x, const T* y, int64_t n) {
  Vector<T> lanes[Lanes<Sum, T>::kVectors] = {};
  constexpr int kWidth = Lanes<Sum, T>::kWidth;
  int64_t j = 0;
  for (; j + kLanes <= n; j += kLanes) {
    for (int i = 0; i < kLanes / kWidth; ++i) {
      lanes[i] += load(x + j + i * kWidth) * load(y + j + i * kWidth);
    }
  }
  Lanes<Sum, T> sums;
  std::memcpy(sums.lanes, lanes, sizeof lanes);
  T rest[kLanes] = {};
  for (int64_t i = j; i < n; ++i) rest[i - j] = x[i] * y[i];
  return sums.finish(rest, n - j);
}

}  // namespace

void small_products(SmallProducts<float>& fns) { fns = {product<float>, dot<float>}; }
void small_products(SmallProducts<double>& fns) { fns = {product<double>, dot<double>}; }

}  // namespace ostinato::OSTINATO_ISA
