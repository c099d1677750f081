// softmax, log_softmax, and the variance: rows along any axes.
#include <cmath>

#include "cpu/isa.hpp"
#include "cpu/reduce.hpp"
#include "cpu/rows.hpp"
#include "dispatch/shape_rules.hpp"

namespace ostinato {

OSTINATO_PER_ISA(void row_fns(RowFns<float>& fns); void row_fns(RowFns<double>& fns);)

namespace {

template <class T>
RowFns<T> chosen() {
  RowFns<T> made;
  OSTINATO_CHOOSE(row_fns(made));
  return made;
}

}  // namespace

template <>
const RowFns<float>& row_functions<float>() {
  static const RowFns<float> fns = chosen<float>();
  return fns;
}
template <>
const RowFns<double>& row_functions<double>() {
  static const RowFns<double> fns = chosen<double>();
  return fns;
}

namespace {

// y = f(x) row by row along attribute 0, an axis.
template <class F>
void map_rows(const OpCall& call, const Tensor& result, F f) {
  const Tensor& given = call.operand(0);
  const DType dtype = compute_dtype(given.dtype());
  const int axis = axis_of(call.op->name, call.attr(0).as_int(), given.ndim(), given.sizes());
  const Sizes marks = mark_axis(given.ndim(), axis);
  const Tensor x = contiguous_as(reduced_last(given, marks), dtype);
  const ResultBuffer y(reduced_last(result, marks), dtype);
  const int64_t n = given.ndim() > 0 ? given.size(axis) : 1;
  if (x.numel() == 0) return;
  for_real(dtype, [&]<class T>(T) {
    const T* from = x.data<T>();
    T* to = y.data<T>();
    for_rows(x.numel() / n, n, [&](int64_t i) { f(from + i * n, to + i * n, n); });
  });
  y.store();
}

void softmax(const OpCall& call, std::span<Tensor> out) {
  map_rows(call, out[0],
           []<class T>(const T* x, T* y, int64_t n) { row_functions<T>().softmax(x, y, n); });
}
OSTINATO_KERNEL(softmax, softmax);

void log_softmax(const OpCall& call, std::span<Tensor> out) {
  map_rows(call, out[0],
           []<class T>(const T* x, T* y, int64_t n) { row_functions<T>().log_softmax(x, y, n); });
}
OSTINATO_KERNEL(log_softmax, log_softmax);

void variance(const OpCall& call, const Tensor& result, bool root) {
  const Tensor& given = call.operand(0);
  const DType dtype = compute_dtype(given.dtype());
  const Sizes marks = reduced_axes(call.op->name, call.attr(0), given.sizes());
  const Tensor x = contiguous_as(reduced_last(given, marks), dtype);
  const ResultBuffer y(result, dtype);
  const int64_t rows = result.numel();
  if (rows == 0) return;
  const int64_t n = x.numel() / rows;
  for_real(dtype, [&]<class T>(T) {
    const T divisor =
        static_cast<T>(std::max(static_cast<double>(n) - call.attr(1).as_double(), 0.0));
    const RowFns<T>& fns = row_functions<T>();
    for_rows(rows, n, [&](int64_t i) {
      const T v = fns.variance(x.data<T>() + i * n, n, divisor);
      y.data<T>()[i] = root ? std::sqrt(v) : v;
    });
  });
  y.store();
}

void var(const OpCall& call, std::span<Tensor> out) { variance(call, out[0], false); }
OSTINATO_KERNEL(var, var);

void std_(const OpCall& call, std::span<Tensor> out) { variance(call, out[0], true); }
static const RegisterKernel register_std{"std", std_};

}  // namespace
}  // namespace ostinato
