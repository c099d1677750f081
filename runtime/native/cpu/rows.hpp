// What kernels over rows share: the row functions in use, and tensors seen as dense rows.
#pragma once
#include "core/parallel.hpp"
#include "cpu/by_dtype.hpp"
#include "cpu/copy.hpp"
#include "cpu/simd/rows.hpp"
#include "dispatch/op_call.hpp"

namespace ostinato {

template <class T>
const RowFns<T>& row_functions();
template <>
const RowFns<float>& row_functions<float>();
template <>
const RowFns<double>& row_functions<double>();

// f(row) for each of `rows` rows of n elements, on the pool.
template <class F>
void for_rows(int64_t rows, int64_t n, F f) {
  parallel_for(rows, std::max<int64_t>(1, 8192 / std::max<int64_t>(n, 1)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t i = begin; i < end; ++i) f(i);
               });
}

// `operand` as dense elements of `dtype`, null where it is absent.
inline Tensor dense_or_null(const Tensor& operand, DType dtype) {
  return operand ? contiguous_as(operand, dtype) : Tensor();
}
template <class T>
T* data_or_null(const Tensor& t) {
  return t ? t.data<T>() : nullptr;
}

// The eps of rms_norm: the spacing of numbers at 1 where none is given.
inline double rms_eps(const Attr& eps, DType dtype) {
  if (!eps.is_none()) return eps.as_double();
  return dtype == DType::float64_ ? 0x1p-52 : 0x1p-23;
}

// Marks (shape_rules.hpp) of one axis, counted from the front.
inline Sizes mark_axis(int ndim, int axis) {
  Sizes marks(static_cast<size_t>(ndim), 0);
  if (ndim > 0) marks[static_cast<size_t>(axis)] = 1;
  return marks;
}

}  // namespace ostinato
