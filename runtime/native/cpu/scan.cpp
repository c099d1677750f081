// Running sums along an axis.
#include "core/parallel.hpp"
#include "cpu/around.hpp"
#include "cpu/copy.hpp"

namespace ostinato {
namespace {

constexpr int64_t kColumns = 64;  // columns of one task
constexpr int64_t kRows = 8;      // rows side by side: each sum waits for the one before it

// Running sums of `rows` dense rows of n.
template <class T>
inline void sum_along_rows(const T* x, T* y, int64_t rows, int64_t n) {
  T totals[kRows] = {};
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t r = 0; r < rows; ++r) {
      totals[r] += x[r * n + i];
      y[r * n + i] = totals[r];
    }
  }
}

// x and y are (outer, n, inner); each element becomes the sum of those before it and itself.
template <class T>
void running_sums(const T* x, T* y, int64_t outer, int64_t n, int64_t inner) {
  if (inner == 1) {
    const int64_t groups = (outer + kRows - 1) / kRows;
    parallel_for(groups, std::max<int64_t>(1, 16384 / (n * kRows)),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t i = begin * kRows; i < std::min(end * kRows, outer); i += kRows) {
                     const int64_t rows = std::min(kRows, outer - i);
                     const int64_t at = i * n;
                     if (rows == kRows)
                       sum_along_rows(x + at, y + at, kRows, n);
                     else
                       sum_along_rows(x + at, y + at, rows, n);
                   }
                 });
    return;
  }
  const int64_t bands = (inner + kColumns - 1) / kColumns;
  parallel_for(outer * bands, std::max<int64_t>(1, 16384 / (n * kColumns)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t task = begin; task < end; ++task) {
                   const int64_t first = task % bands * kColumns;
                   const int64_t last = std::min(first + kColumns, inner);
                   const int64_t base = task / bands * n * inner;
                   std::copy(x + base + first, x + base + last, y + base + first);
                   for (int64_t i = 1; i < n; ++i) {
                     const int64_t row = base + i * inner;
                     for (int64_t c = first; c < last; ++c)
                       y[row + c] = y[row - inner + c] + x[row + c];
                   }
                 }
               });
}

void cumsum(const OpCall& call, std::span<Tensor> out) {
  const Tensor& given = call.operand(0);
  const bool real = is_float(given.dtype());
  const DType dtype = real ? compute_dtype(given.dtype()) : DType::int64_;
  const Tensor x = contiguous_as(given, dtype);
  const ResultBuffer y(out[0], dtype);
  if (x.numel() == 0) return;
  const Around at(call, call.attr(0).as_int(), x.sizes());
  const auto run = [&]<class T>(T) {
    running_sums(x.data<T>(), y.data<T>(), at.outer, at.n, at.inner);
  };
  // Integer sums wrap.
  if (!real)
    run(uint64_t{});
  else if (dtype == DType::float64_)
    run(double{});
  else
    run(float{});
  y.store();
}
OSTINATO_KERNEL(cumsum, cumsum);

}  // namespace
}  // namespace ostinato
