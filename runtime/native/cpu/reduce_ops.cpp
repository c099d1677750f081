// Reductions over axes: sum, prod, amax, amin, any, all, argmax, argmin, mean.
#include "core/parallel.hpp"
#include "cpu/by_dtype.hpp"
#include "cpu/checks.hpp"
#include "cpu/copy.hpp"
#include "cpu/reduce.hpp"
#include "dispatch/shape_rules.hpp"

namespace ostinato {
namespace {

// Sums add up in int64 or in floating point of at least 32 bits.
DType adding_dtype(DType t) { return is_float(t) ? compute_dtype(t) : DType::int64_; }

// The dtype in which elements are compared.
DType choosing_dtype(DType t) {
  if (t == DType::int8_ || t == DType::int16_) return DType::int32_;
  return compute_dtype(t);
}

Tensor with_dtype(const Tensor& x, DType dtype) {
  return x.dtype() == dtype ? x : contiguous_as(x, dtype);
}

void reduce(Reduction kind, const OpCall& call, const Tensor& result, DType dtype) {
  const Tensor x = with_dtype(call.operand(0), dtype);
  const ResultBuffer out(result, dtype);
  reduce_axes(kind, x, reduced_axes(call.op->name, call.attr(0), x.sizes()), out.tensor());
  out.store();
}

void sum(const OpCall& call, std::span<Tensor> out) {
  reduce(Reduction::sum, call, out[0], adding_dtype(call.operand(0).dtype()));
}
OSTINATO_KERNEL(sum, sum);

void prod(const OpCall& call, std::span<Tensor> out) {
  reduce(Reduction::product, call, out[0], adding_dtype(call.operand(0).dtype()));
}
OSTINATO_KERNEL(prod, prod);

void amax(const OpCall& call, std::span<Tensor> out) {
  check_has_elements(call, out[0]);
  reduce(Reduction::maximum, call, out[0], choosing_dtype(call.operand(0).dtype()));
}
OSTINATO_KERNEL(amax, amax);

void amin(const OpCall& call, std::span<Tensor> out) {
  check_has_elements(call, out[0]);
  reduce(Reduction::minimum, call, out[0], choosing_dtype(call.operand(0).dtype()));
}
OSTINATO_KERNEL(amin, amin);

void any(const OpCall& call, std::span<Tensor> out) {
  reduce(Reduction::maximum, call, out[0], DType::bool_);
}
OSTINATO_KERNEL(any, any);

void all(const OpCall& call, std::span<Tensor> out) {
  if (call.operand(0).numel() == 0) return copy_into(out[0], number(true));
  reduce(Reduction::minimum, call, out[0], DType::bool_);
}
OSTINATO_KERNEL(all, all);

void mean(const OpCall& call, std::span<Tensor> out) {
  const DType dtype = compute_dtype(call.operand(0).dtype());
  const Tensor x = with_dtype(call.operand(0), dtype);
  const ResultBuffer total(out[0], dtype);
  reduce_axes(Reduction::sum, x, reduced_axes("mean", call.attr(0), x.sizes()), total.tensor());
  const int64_t results = out[0].numel();
  for_real(dtype, [&]<class T>(T) {
    const T count = static_cast<T>(results == 0 ? 1 : x.numel() / results);
    T* p = total.data<T>();
    for (int64_t i = 0; i < results; ++i) p[i] /= count;
  });
  total.store();
}
OSTINATO_KERNEL(mean, mean);

// The first position along one axis, or among all elements, of what `kind` chooses.
void position(Reduction kind, const OpCall& call, const Tensor& result) {
  check_has_elements(call, result);
  const Tensor& given = call.operand(0);
  const DType dtype = choosing_dtype(given.dtype());
  const Sizes marks = reduced_axes(call.op->name, call.attr(0), given.sizes());
  const Tensor x = contiguous_as(reduced_last(given, marks), dtype);
  const ResultBuffer out(result, DType::int64_);
  const ReduceFns fns = reduce_functions(kind, dtype);
  const int64_t rows = result.numel(), n = rows == 0 ? 0 : x.numel() / rows;
  const std::byte* source = x.bytes();
  const int64_t row = n * static_cast<int64_t>(size_of(dtype));
  parallel_for(rows, std::max<int64_t>(1, 16384 / std::max<int64_t>(n, 1)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t i = begin; i < end; ++i) {
                   out.data<int64_t>()[i] = fns.find(source + i * row, n);
                 }
               });
  out.store();
}

void argmax(const OpCall& call, std::span<Tensor> out) {
  position(Reduction::maximum, call, out[0]);
}
OSTINATO_KERNEL(argmax, argmax);

void argmin(const OpCall& call, std::span<Tensor> out) {
  position(Reduction::minimum, call, out[0]);
}
OSTINATO_KERNEL(argmin, argmin);

}  // namespace
}  // namespace ostinato
