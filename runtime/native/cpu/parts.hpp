// Parts of tensors as views, for kernels that fill a result piece by piece.
#pragma once
#include <string>

#include "core/tensor.hpp"
#include "dispatch/shape_rules.hpp"

namespace ostinato {

// Elements start, start + step, ... (`length` of them) along `axis`.
inline Tensor part_of(const Tensor& x, int axis, int64_t start, int64_t length, int64_t step = 1) {
  if (x.ndim() == 0) return x;
  const size_t at = static_cast<size_t>(axis);
  Sizes sizes = x.sizes(), strides = x.strides();
  const int64_t offset = x->offset + (length > 0 ? start * strides[at] : 0);
  sizes[at] = length;
  strides[at] *= step;
  return as_view(x, std::move(sizes), std::move(strides), offset);
}

// Throws Error (shape) unless `given` broadcasts to `needed`.
inline void check_broadcast(const char* op, const Sizes& given, const Sizes& needed) {
  const int lead = needed.ssize() - given.ssize();
  bool fits = true;
  for (int i = 0; i < given.ssize(); ++i) {
    fits &= given[i] == 1 || (i + lead >= 0 && given[i] == needed[i + lead]);
  }
  if (fits) return;
  throw Error(ErrorKind::shape, std::string(op) + ": src " + show(given) +
                                    " does not broadcast to " + show(needed) +
                                    ", the shape of what it replaces; give sizes equal or 1");
}

// `x` broadcast to `sizes`, which it has been checked to fit; leading axes of size 1 may go.
inline Tensor broadcast_to(const Tensor& x, const Sizes& sizes) {
  const int lead = sizes.ssize() - x.ndim();
  Sizes strides(sizes.size(), 0);
  for (int i = 0; i < x.ndim(); ++i) {
    if (i + lead >= 0 && x.size(i) != 1) strides[i + lead] = x.strides()[i];
  }
  return as_view(x, sizes, std::move(strides), x->offset);
}

}  // namespace ostinato
