// Axes of tensors in the form that kernels count along.
#pragma once
#include "core/tensor.hpp"
#include "cuda/loop_parts.hpp"

namespace ostinato::cuda {

// Adds an axis outside of those that `axes` has; merges it where one stride serves. False where
// there is no room.
inline bool add_axis(Axes& axes, int64_t size, int64_t stride) {
  if (size == 1) return true;
  if (axes.count > 0) {
    const int last = axes.count - 1;
    const int64_t inner = axes.sizes[last].size;
    if (axes.strides[last] * inner == stride) {
      axes.sizes[last] = divider(inner * size);
      return true;
    }
  }
  if (axes.count == kMostAxes) return false;
  axes.sizes[axes.count] = divider(size);
  axes.strides[axes.count++] = stride;
  return true;
}

// The axes of `t` whose mark (shape_rules.hpp) is `wanted`.
inline bool fill_axes(Axes& axes, const Tensor& t, const Sizes& marks, bool wanted) {
  const int64_t item = static_cast<int64_t>(size_of(t.dtype()));
  axes.count = 0;
  for (int i = t.ndim() - 1; i >= 0; --i) {
    if ((marks[i] != 0) != wanted) continue;
    if (!add_axis(axes, t.size(i), t.strides()[i] * item)) return false;
  }
  return true;
}

}  // namespace ostinato::cuda
