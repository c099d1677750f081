#include "cpu/gemm.hpp"

#include <algorithm>
#include <cstring>

#include "blas.hpp"
#include "core/parallel.hpp"
#include "cpu/isa.hpp"

namespace ostinato {

OSTINATO_PER_ISA(void small_products(SmallProducts<float>& fns);
                 void small_products(SmallProducts<double>& fns);)

namespace {

constexpr double kTaskFlops = 2e5;  // what is worth another thread
constexpr int64_t kTileRows = 16;   // tiles end at multiples of these
constexpr int64_t kTileColumns = 32;

template <class T>
const SmallProducts<T>& small() {
  static const SmallProducts<T> fns = [] {
    SmallProducts<T> made;
    OSTINATO_CHOOSE(small_products(made));
    return made;
  }();
  return fns;
}

bool reads_plainly(int64_t rows, int64_t columns, int64_t row, int64_t column) {
  return (column == 1 || columns == 1) && (row >= columns || rows == 1);
}

// Fewer columns than these are as fast in BLAS.
constexpr int64_t kManyColumns = 64;

template <class T>
bool has_few_rows(int64_t m, int64_t n, int64_t k, Matrix<const T> a, Matrix<const T> b) {
  if (m > kFewRows || n < kManyColumns || k <= kSmallSide) return false;
  return b.column == 1 ? n % kSmallSide == 0 : b.row == 1 && a.column == 1;
}

template <class T>
void on_this_thread(int64_t m, int64_t n, int64_t k, Matrix<const T> a, Matrix<const T> b, T* c,
                    int64_t ldc, bool adds) {
  if (k == 0) {
    for (int64_t i = 0; i < m && !adds; ++i) std::fill(c + i * ldc, c + i * ldc + n, T{0});
    return;
  }
  if (m <= kSmallSide && n <= kSmallSide && k <= kSmallSide) {
    return small<T>().product(m, n, k, a, b, c, ldc, adds);
  }
  if (has_few_rows(m, n, k, a, b)) return small<T>().few_rows(m, n, k, a, b, c, ldc, adds);
  const bool a_plain = reads_plainly(m, k, a.row, a.column);
  const bool b_plain = reads_plainly(k, n, b.row, b.column);
  const int64_t lda = a_plain ? (m == 1 ? k : a.row) : (k == 1 ? m : a.column);
  const int64_t ldb = b_plain ? (k == 1 ? n : b.row) : (n == 1 ? k : b.column);
  blas::gemm(!a_plain, !b_plain, m, n, k, T{1}, a.data, lda, b.data, ldb, adds ? T{1} : T{0}, c,
             ldc);
}

// How many tiles a product is cut into along its rows and its columns.
struct Grid {
  int64_t down;
  int64_t across;
};

// Each tile packs its own rows of a and columns of b; the grid is the one that packs least.
Grid grid_for(int64_t m, int64_t n, int64_t pieces) {
  const int64_t most_down = std::max<int64_t>(1, m / kTileRows);
  const int64_t most_across = std::max<int64_t>(1, n / kTileColumns);
  Grid best{1, 1};
  int64_t best_cost = INT64_MAX;
  for (int64_t down = 1; down <= std::min(pieces, most_down); ++down) {
    const int64_t across = std::min((pieces + down - 1) / down, most_across);
    // Idle threads cost more than any packing.
    const int64_t missing = std::max<int64_t>(0, pieces - down * across);
    const int64_t cost = across * m + down * n + missing * (m + n) * 16;
    if (cost < best_cost) {
      best_cost = cost;
      best = {down, across};
    }
  }
  return best;
}

int64_t edge(int64_t i, int64_t parts, int64_t total, int64_t step) {
  if (i == parts) return total;
  return std::min(total, (total * i / parts + step - 1) / step * step);
}

template <class T>
struct Task {
  const Products<T>& p;
  Grid grid;

  void run(int64_t index) const {
    const int64_t tile = index % (grid.down * grid.across);
    int64_t matrix = index / (grid.down * grid.across);
    T* c = p.c + matrix * p.m * p.n;
    Matrix<const T> a = p.a, b = p.b;
    for (int i = p.sizes.ssize() - 1; i >= 0; --i) {
      a.data += matrix % p.sizes[i] * p.a_strides[i];
      b.data += matrix % p.sizes[i] * p.b_strides[i];
      matrix /= p.sizes[i];
    }
    const int64_t i = tile / grid.across, j = tile % grid.across;
    const int64_t top = edge(i, grid.down, p.m, kTileRows);
    const int64_t bottom = edge(i + 1, grid.down, p.m, kTileRows);
    const int64_t left = edge(j, grid.across, p.n, kTileColumns);
    const int64_t right = edge(j + 1, grid.across, p.n, kTileColumns);
    if (bottom <= top || right <= left) return;
    a.data += top * a.row;
    b.data += left * b.column;
    c += top * p.n + left;
    if (p.bias != nullptr) fill_rows(c, bottom - top, left, right - left);
    on_this_thread(bottom - top, right - left, p.k, a, b, c, p.n, p.bias != nullptr);
  }

  void fill_rows(T* c, int64_t rows, int64_t left, int64_t width) const {
    for (int64_t r = 0; r < rows; ++r) {
      std::memcpy(c + r * p.n, p.bias + left, static_cast<size_t>(width) * sizeof(T));
    }
  }
};

template <class T>
void run_products(const Products<T>& p) {
  if (p.count == 0 || p.m == 0 || p.n == 0) return;
  const double flops = 2.0 * static_cast<double>(p.m) * static_cast<double>(p.n) *
                       static_cast<double>(std::max<int64_t>(p.k, 1));
  const double worth = flops * static_cast<double>(p.count) / kTaskFlops;
  if (worth < 2) {
    const Task<T> task{p, {1, 1}};
    for (int64_t i = 0; i < p.count; ++i) task.run(i);
    return;
  }
  const int64_t pieces = std::min<int64_t>(num_threads(), static_cast<int64_t>(worth));
  const Task<T> task{p, grid_for(p.m, p.n, (pieces + p.count - 1) / p.count)};
  const int64_t tasks = p.count * task.grid.down * task.grid.across;
  const double each = flops * static_cast<double>(p.count) / static_cast<double>(tasks);
  const int64_t grain = std::max<int64_t>(1, static_cast<int64_t>(kTaskFlops / each));
  parallel_for(tasks, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) task.run(i);
  });
}

}  // namespace

bool suits_blas(int64_t rows, int64_t columns, int64_t row, int64_t column) {
  return reads_plainly(rows, columns, row, column) || reads_plainly(columns, rows, column, row);
}

void multiply(const Products<float>& p) { run_products(p); }
void multiply(const Products<double>& p) { run_products(p); }

void multiply_here(int64_t m, int64_t n, int64_t k, Matrix<const float> a, Matrix<const float> b,
                   float* c, int64_t ldc, bool adds) {
  on_this_thread(m, n, k, a, b, c, ldc, adds);
}
void multiply_here(int64_t m, int64_t n, int64_t k, Matrix<const double> a, Matrix<const double> b,
                   double* c, int64_t ldc, bool adds) {
  on_this_thread(m, n, k, a, b, c, ldc, adds);
}

float dot(const float* x, const float* y, int64_t n) { return small<float>().dot(x, y, n); }
double dot(const double* x, const double* y, int64_t n) { return small<double>().dot(x, y, n); }

}  // namespace ostinato
