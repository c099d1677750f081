// View ops: the same storage under new sizes and strides.
#include <optional>
#include <string>

#include "cpu/copy.hpp"
#include "dispatch/shape_rules.hpp"

namespace ostinato {
namespace {

// `dim`, which the shape rule has checked, counted from the front.
int axis_at(int64_t dim, int ndim) { return static_cast<int>(dim < 0 ? dim + ndim : dim); }

Tensor viewed(const Tensor& x, Sizes sizes, Sizes strides) {
  return as_view(x, std::move(sizes), std::move(strides), x->offset);
}

// Memory that is walked at one stride.
struct Stretch {
  int64_t size;
  int64_t stride;
};
using Stretches = SmallVector<Stretch, 6>;

Stretches stretches_of(const Tensor& x) {
  Stretches found;
  for (int i = 0; i < x.ndim(); ++i) {
    const int64_t size = x.size(i), stride = x.strides()[i];
    if (size == 1) continue;
    if (!found.empty() && found.back().stride == stride * size) {
      found.back() = {found.back().size * size, stride};
    } else {
      found.push_back({size, stride});
    }
  }
  return found;
}

// Strides under which the memory of `x` shows `sizes` in row-major order; none where it cannot.
std::optional<Sizes> strides_for(const Tensor& x, const Sizes& sizes) {
  if (x.contiguous()) return contiguous_strides(sizes);
  Stretches left = stretches_of(x);
  Sizes strides(sizes.size(), 1);
  for (int i = sizes.ssize() - 1; i >= 0; --i) {
    if (i + 1 < sizes.ssize()) strides[i] = strides[i + 1] * sizes[i + 1];
    if (sizes[i] == 1) continue;
    Stretch& last = left.back();
    if (last.size % sizes[i] != 0) return std::nullopt;
    strides[i] = last.stride;
    last.size /= sizes[i];
    last.stride *= sizes[i];
    if (last.size == 1) left.pop_back();
  }
  return strides;
}

}  // namespace

bool can_view(const Tensor& x, const Sizes& sizes) { return strides_for(x, sizes).has_value(); }

namespace {

Tensor reshape(const OpCall& call, const TensorMeta& result) {
  const Tensor& x = call.operand(0);
  if (auto strides = strides_for(x, result.sizes)) return viewed(x, result.sizes, *strides);
  const Tensor copy = contiguous(x);
  return viewed(copy, result.sizes, contiguous_strides(result.sizes));
}
OSTINATO_KERNEL(reshape, reshape);

Tensor view(const OpCall& call, const TensorMeta& result) {
  const Tensor& x = call.operand(0);
  if (auto strides = strides_for(x, result.sizes)) return viewed(x, result.sizes, *strides);
  throw Error(ErrorKind::shape, "view: strides " + show(x.strides()) + " of shape " +
                                    show(x.sizes()) + " do not show shape " + show(result.sizes) +
                                    " without a copy; use reshape, or contiguous() first");
}
OSTINATO_KERNEL(view, view);

Tensor permute(const OpCall& call, const TensorMeta& result) {
  const Tensor& x = call.operand(0);
  Sizes strides;
  for (int64_t d : call.attr(0).as_sizes()) strides.push_back(x.strides()[axis_at(d, x.ndim())]);
  return viewed(x, result.sizes, std::move(strides));
}
OSTINATO_KERNEL(permute, permute);

Tensor transpose(const OpCall& call, const TensorMeta& result) {
  const Tensor& x = call.operand(0);
  Sizes strides = x.strides();
  if (x.ndim() > 0) {
    std::swap(strides[axis_at(call.attr(0).as_int(), x.ndim())],
              strides[axis_at(call.attr(1).as_int(), x.ndim())]);
  }
  return viewed(x, result.sizes, std::move(strides));
}
OSTINATO_KERNEL(transpose, transpose);

Tensor expand(const OpCall& call, const TensorMeta& result) {
  const Tensor& x = call.operand(0);
  Sizes strides(result.sizes.size(), 0);
  const int lead = result.sizes.ssize() - x.ndim();
  for (int i = 0; i < x.ndim(); ++i) {
    if (x.size(i) != 1 || result.sizes[lead + i] == 1) strides[lead + i] = x.strides()[i];
  }
  return viewed(x, result.sizes, std::move(strides));
}
OSTINATO_KERNEL(expand, expand);

Tensor squeeze(const OpCall& call, const TensorMeta& result) {
  const Tensor& x = call.operand(0);
  const Sizes named = reduced_axes("squeeze", call.attr(0), x.sizes());
  Sizes strides;
  for (int i = 0; i < x.ndim(); ++i) {
    if (named[i] == 0 || x.size(i) != 1) strides.push_back(x.strides()[i]);
  }
  return viewed(x, result.sizes, std::move(strides));
}
OSTINATO_KERNEL(squeeze, squeeze);

Tensor unsqueeze(const OpCall& call, const TensorMeta& result) {
  const Tensor& x = call.operand(0);
  const int axis = axis_at(call.attr(0).as_int(), x.ndim() + 1);
  Sizes strides = x.strides();
  const int64_t stride = axis < x.ndim() ? x.size(axis) * strides[axis] : 1;
  strides.insert(static_cast<size_t>(axis), stride);
  return viewed(x, result.sizes, std::move(strides));
}
OSTINATO_KERNEL(unsqueeze, unsqueeze);

Tensor slice(const OpCall& call, const TensorMeta& result) {
  const Tensor& x = call.operand(0);
  const int axis = axis_at(call.attr(0).as_int(), x.ndim());
  const auto [start, stop] =
      slice_bounds(x.size(axis), call.attr(1).as_int(), call.attr(2).as_int());
  Sizes strides = x.strides();
  const int64_t offset = x->offset + (stop > start ? start * strides[axis] : 0);
  strides[axis] *= call.attr(3).as_int();
  return as_view(x, result.sizes, std::move(strides), offset);
}
OSTINATO_KERNEL(slice, slice);

Tensor select(const OpCall& call, const TensorMeta& result) {
  const Tensor& x = call.operand(0);
  const int axis = axis_at(call.attr(0).as_int(), x.ndim());
  const int64_t index = call.attr(1).as_int();
  Sizes strides = x.strides();
  const int64_t offset =
      x->offset + (index < 0 ? index + x.size(axis) : index) * strides[static_cast<size_t>(axis)];
  strides.erase(static_cast<size_t>(axis));
  return as_view(x, result.sizes, std::move(strides), offset);
}
OSTINATO_KERNEL(select, select);

Tensor detach(const OpCall& call, const TensorMeta&) {
  const Tensor& x = call.operand(0);
  return viewed(x, x.sizes(), x.strides());
}
OSTINATO_KERNEL(detach, detach);

// Elements that the storage of `x` has room for.
int64_t room_of(const Tensor& x) {
  const int64_t item = static_cast<int64_t>(size_of(x.dtype()));
  return x->storage ? static_cast<int64_t>(x->storage->bytes()) / item : x.numel();
}

Tensor as_strided(const OpCall& call, const TensorMeta& result) {
  const Tensor& x = call.operand(0);
  const Sizes& strides = call.attr(1).as_sizes();
  const int64_t offset = call.attr(2).as_int();
  check_reach("as_strided", result.sizes, strides, offset, room_of(x));
  return as_view(x, result.sizes, strides, offset);
}
OSTINATO_KERNEL(as_strided, as_strided);

}  // namespace
}  // namespace ostinato
