// Operands of matrix products as matrices, all of them views.
#pragma once
#include "core/tensor.hpp"

namespace ostinato {

// A vector as a matrix of one row or one column.
inline Tensor with_axis(const Tensor& t, int at) {
  Sizes sizes = t.sizes(), strides = t.strides();
  sizes.insert(static_cast<size_t>(at), 1);
  strides.insert(static_cast<size_t>(at), 1);
  return as_view(t, std::move(sizes), std::move(strides), t->offset);
}

// The factors of a product, vectors as matrices, and the sizes that the product of these has.
struct Factors {
  Tensor x, y;
  Sizes sizes;

  Factors(const Tensor& left, const Tensor& right, const Sizes& result)
      : x(left), y(right), sizes(result) {
    if (y.ndim() == 1) {
      y = with_axis(y, 1);
      sizes.push_back(1);
    }
    if (x.ndim() == 1) {
      x = with_axis(x, 0);
      sizes.insert(sizes.size() - 1, 1);
    }
  }
};

// `t` with all axes but the last made one, as a view; null where the strides do not allow it.
inline Tensor as_rows(const Tensor& t) {
  int64_t rows = 1, stride = t.size(-1);
  bool first = true;
  for (int i = t.ndim() - 2; i >= 0; --i) {
    if (t.size(i) == 1) continue;
    if (!first && !t.contiguous() && t.strides()[i] != stride * rows) return {};
    if (first) stride = t.strides()[i];
    first = false;
    rows *= t.size(i);
  }
  return as_view(t, {rows, t.size(-1)}, {stride, t.strides()[t.ndim() - 1]}, t->offset);
}

// The stride of operand `t` along batch axis `axis` of a product that has `batch_axes`.
inline int64_t batch_stride(const Tensor& t, int axis, int batch_axes) {
  const int i = axis - (batch_axes - (t.ndim() - 2));
  return i < 0 || t.size(i) == 1 ? 0 : t.strides()[i];
}

}  // namespace ostinato
