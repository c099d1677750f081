// Reductions over any axes of tensors of any strides.
#pragma once
#include "core/tensor.hpp"
#include "cpu/simd/reduce.hpp"

namespace ostinato {

ReduceFns reduce_functions(Reduction kind, DType dtype);

// Axes are named by marks, one for each axis, 1 where it is reduced (shape_rules.hpp).

// `x` with its unmarked axes first, then the marked ones, as a view.
Tensor reduced_last(const Tensor& x, const Sizes& marks);

// Reduces the marked axes of `x` into `result`: contiguous, of the same dtype, an element for each
// of the other axes' in order. Nothing to reduce gives the identity.
void reduce_axes(Reduction kind, const Tensor& x, const Sizes& marks, const Tensor& result);

}  // namespace ostinato
