#include "cpu/simd/small_product.hpp"

#include "cpu/simd/tile_product.hpp"

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

constexpr int kRowsAtOnce = 4;     // of a
constexpr int kColumnsAtOnce = 3;  // of b: 12 sums stay in registers

template <class T>
T total(Vector<T> v) {
  constexpr int kWidth = sizeof(Vector<T>) / sizeof(T);
  T lanes[kWidth];
  std::memcpy(lanes, &v, sizeof v);
  for (int half = kWidth / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  }
  return lanes[0];
}

// Inner products of rows of a, `row` apart, with columns of b, `column` apart, all of them dense.
template <class T, int kRows, int kColumns>
OSTINATO_INLINE void inner_products(int64_t k, const T* a, int64_t row, const T* b, int64_t column,
                                    T* c, int64_t ldc, bool adds) {
  constexpr int kWidth = sizeof(Vector<T>) / sizeof(T);
  Vector<T> sums[kRows][kColumns] = {};
  int64_t p = 0;
  for (; p + kWidth <= k; p += kWidth) {
    Vector<T> y[kColumns];
    for (int j = 0; j < kColumns; ++j) y[j] = load(b + j * column + p);
    for (int i = 0; i < kRows; ++i) {
      const Vector<T> x = load(a + i * row + p);
      for (int j = 0; j < kColumns; ++j) sums[i][j] = multiply_add<T>(x, y[j], sums[i][j]);
    }
  }
  for (int i = 0; i < kRows; ++i) {
    for (int j = 0; j < kColumns; ++j) {
      T sum = total<T>(sums[i][j]);
      for (int64_t q = p; q < k; ++q) sum += a[i * row + q] * b[j * column + q];
      T& to = c[i * ldc + j];
      to = adds ? to + sum : sum;
    }
  }
}

template <class T, int kColumns>
OSTINATO_INLINE void columns(int64_t m, int64_t k, Matrix<const T> a, const T* b, int64_t column,
                             T* c, int64_t ldc, bool adds) {
  int64_t i = 0;
  for (; i + kRowsAtOnce <= m; i += kRowsAtOnce) {
    inner_products<T, kRowsAtOnce, kColumns>(k, a.data + i * a.row, a.row, b, column, c + i * ldc,
                                             ldc, adds);
  }
  for (; i < m; ++i) {
    inner_products<T, 1, kColumns>(k, a.data + i * a.row, a.row, b, column, c + i * ldc, ldc, adds);
  }
}

// Rows of a and columns of b are dense.
template <class T>
void few_rows_by_columns(int64_t m, int64_t n, int64_t k, Matrix<const T> a, Matrix<const T> b,
                         T* c, int64_t ldc, bool adds) {
  int64_t j = 0;
  for (; j + kColumnsAtOnce <= n; j += kColumnsAtOnce) {
    columns<T, kColumnsAtOnce>(m, k, a, b.data + j * b.column, b.column, c + j, ldc, adds);
  }
  for (; j < n; ++j) columns<T, 1>(m, k, a, b.data + j * b.column, b.column, c + j, ldc, adds);
}

constexpr int64_t kManyRows = 8;  // more than these fill the vectors of a panel

// Rows of a, transposed: what one tile of the transposed product reads.
template <class T>
struct Panels {
  static constexpr int kWidth = static_cast<int>(sizeof(Vector<T>) / sizeof(T));
  static constexpr int kVectors = kWidth < kFewRows ? 2 : 1;
  static constexpr int kRows = kWidth * kVectors;
  static constexpr int kCount = (kFewRows + kRows - 1) / kRows;
  static constexpr int64_t kDepth = 4096 / (kFewRows * sizeof(T) / 4);  // 16 KiB, half of a cache

  // Rows beyond m are zeros.
  void fill(int64_t m, int64_t depth, Matrix<const T> a) {
    for (int64_t i = 0; i < kCount * kRows; ++i) {
      T* to = &lanes[i / kRows][0][i % kRows];
      for (int64_t p = 0; p < depth; ++p) to[p * kRows] = i < m ? a.data[i * a.row + p] : T{0};
    }
  }

  alignas(64) T lanes[kCount][kDepth][kRows];
};

// c's columns from j on, as many as the tile has rows.
template <class T, int kColumns>
OSTINATO_INLINE void transposed_tile(int64_t m, int64_t depth, const Panels<T>& panels,
                                     Left<T> columns, T* c, int64_t ldc, bool adds) {
  using P = Panels<T>;
  for (int64_t first = 0; first < m; first += P::kRows) {
    alignas(64) T sums[kColumns][P::kRows];
    tile<T, kColumns, P::kVectors>(depth, columns, panels.lanes[first / P::kRows][0], P::kRows,
                                   sums[0], P::kRows, false);
    const int64_t rows = std::min<int64_t>(P::kRows, m - first);
    for (int64_t i = 0; i < rows; ++i) {
      T* to = c + (first + i) * ldc;
      for (int j = 0; j < kColumns; ++j) to[j] = adds ? to[j] + sums[j][i] : sums[j][i];
    }
  }
}

// The same where rows of a fill vectors: the transposed product, whose sums need not be added up
// across a vector.
template <class T>
void few_rows_transposed(int64_t m, int64_t n, int64_t k, Matrix<const T> a, Matrix<const T> b,
                         T* c, int64_t ldc, bool adds) {
  Panels<T> panels;
  for (int64_t p = 0; p < k; p += Panels<T>::kDepth) {
    const int64_t depth = std::min(Panels<T>::kDepth, k - p);
    panels.fill(m, depth, {a.data + p, a.row, a.column});
    const auto columns = [&](int64_t j) { return Left<T>{b.data + j * b.column + p, b.column, 1}; };
    int64_t j = 0;
    for (; j + kTileRows <= n; j += kTileRows) {
      transposed_tile<T, kTileRows>(m, depth, panels, columns(j), c + j, ldc, adds || p > 0);
    }
    for (; j < n; ++j) {
      transposed_tile<T, 1>(m, depth, panels, columns(j), c + j, ldc, adds || p > 0);
    }
  }
}

constexpr int64_t kRowsInCache = 256;  // of b: those that all tiles of a use before the next ones

template <class T>
void few_rows(int64_t m, int64_t n, int64_t k, Matrix<const T> a, Matrix<const T> b, T* c,
              int64_t ldc, bool adds) {
  if (b.column != 1) {
    const auto by = m > kManyRows ? few_rows_transposed<T> : few_rows_by_columns<T>;
    return by(m, n, k, a, b, c, ldc, adds);
  }
  for (int64_t p = 0; p < k; p += kRowsInCache) {
    tile_product<T>(m, n, std::min(kRowsInCache, k - p), {a.data + p * a.column, a.row, a.column},
                    b.data + p * b.row, b.row, c, ldc, adds || p > 0);
  }
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

void small_products(SmallProducts<float>& fns) {
  fns = {product<float>, few_rows<float>, dot<float>};
}
void small_products(SmallProducts<double>& fns) {
  fns = {product<double>, few_rows<double>, dot<double>};
}

}  // namespace ostinato::OSTINATO_ISA
