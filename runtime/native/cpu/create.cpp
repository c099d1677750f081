// Tensors from numbers: full, iota, size_tensor, one_hot; and triangles of matrices.
#include <cstring>

#include "core/parallel.hpp"
#include "cpu/by_dtype.hpp"
#include "cpu/copy.hpp"
#include "dispatch/shape_rules.hpp"

namespace ostinato {
namespace {

constexpr int64_t kGrain = 16384;  // elements

void full(const OpCall& call, std::span<Tensor> out) {
  const Tensor& value = call.operand(0);
  if (value.numel() != 1) {
    throw Error(ErrorKind::shape, "full: fill_value has shape " + show(value.sizes()) +
                                      "; give a number or a 0-d tensor");
  }
  copy_into(out[0], value);
}
OSTINATO_KERNEL(full, full);
OSTINATO_CUDA_KERNEL(full, full);

void iota(const OpCall& call, std::span<Tensor> out) {
  const Tensor &start = call.operand(0), &step = call.operand(1);
  const int64_t n = out[0].numel();
  if (is_float(start.dtype()) || is_float(step.dtype())) {
    const ResultBuffer y(out[0], DType::float64_);
    const double first = start.item_double(), each = step.item_double();
    double* p = y.data<double>();
    parallel_for(n, kGrain, [=](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) p[i] = first + each * static_cast<double>(i);
    });
    return y.store();
  }
  const ResultBuffer y(out[0], DType::int64_);
  const uint64_t first = static_cast<uint64_t>(start.item_int());
  const uint64_t each = static_cast<uint64_t>(step.item_int());
  uint64_t* p = y.data<uint64_t>();
  parallel_for(n, kGrain, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) p[i] = first + each * static_cast<uint64_t>(i);
  });
  y.store();
}
OSTINATO_KERNEL(iota, iota);

void size_tensor(const OpCall& call, std::span<Tensor> out) {
  *out[0].data<int64_t>() = call.attr(0).as_int();
}
OSTINATO_KERNEL(size_tensor, size_tensor);

void one_hot(const OpCall& call, std::span<Tensor> out) {
  const Tensor index = contiguous_as(call.operand(0), DType::int64_);
  const ResultBuffer y(out[0], DType::int64_);
  const int64_t classes = call.attr(0).as_int();
  const int64_t* named = index.data<int64_t>();
  int64_t* rows = y.data<int64_t>();
  parallel_for(index.numel(), std::max<int64_t>(1, kGrain / (classes + 1)),
               [=](int64_t begin, int64_t end) {
                 std::fill(rows + begin * classes, rows + end * classes, int64_t{0});
                 for (int64_t i = begin; i < end; ++i) {
                   if (named[i] >= 0 && named[i] < classes) rows[i * classes + named[i]] = 1;
                 }
               });
  y.store();
}
OSTINATO_KERNEL(one_hot, one_hot);

// Columns [first, last) of row `row` are kept, the others zero.
template <class Range>
void keep_columns(const Tensor& given, const Tensor& result, Range range) {
  const Tensor x = contiguous(given);
  const ResultBuffer y(result, x.dtype());
  const int64_t columns = x.size(-1), height = x.size(-2);
  if (x.numel() == 0) return;
  const int64_t item = static_cast<int64_t>(size_of(x.dtype()));
  const std::byte* from = x.bytes();
  std::byte* to = y.tensor().bytes();
  parallel_for(
      x.numel() / columns, std::max<int64_t>(1, kGrain / columns), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          const auto [first, last] = range(i % height);
          const auto bytes = [=](int64_t n) { return static_cast<size_t>(n * item); };
          std::byte* row = to + i * columns * item;
          std::memset(row, 0, bytes(first));
          std::memcpy(row + first * item, from + (i * columns + first) * item, bytes(last - first));
          std::memset(row + last * item, 0, bytes(columns - last));
        }
      });
  y.store();
}

// Columns up to the diagonal and one past it, of a row, clamped.
int64_t past_diagonal(int64_t row, int64_t diagonal, int64_t columns) {
  const int64_t bounded = std::clamp(diagonal, -row - 1, columns);
  return std::min(row + bounded + 1, columns);
}

void tril(const OpCall& call, std::span<Tensor> out) {
  const int64_t diagonal = call.attr(0).as_int(), columns = out[0].size(-1);
  keep_columns(call.operand(0), out[0], [=](int64_t row) {
    return std::pair<int64_t, int64_t>(0, past_diagonal(row, diagonal, columns));
  });
}
OSTINATO_KERNEL(tril, tril);

void triu(const OpCall& call, std::span<Tensor> out) {
  const int64_t diagonal = call.attr(0).as_int(), columns = out[0].size(-1);
  keep_columns(call.operand(0), out[0], [=](int64_t row) {
    const int64_t past = past_diagonal(row, diagonal, columns);
    const bool on = diagonal > -row - 1 && diagonal < columns - row;
    return std::pair<int64_t, int64_t>(on ? past - 1 : past, columns);
  });
}
OSTINATO_KERNEL(triu, triu);

}  // namespace
}  // namespace ostinato
