// Kernels that put tensors together: cat, pad, flip, and writes to parts of a copy. They are made
// of copies of views, and so serve every device.
#include <algorithm>

#include "core/parallel.hpp"
#include "cpu/by_dtype.hpp"
#include "cpu/copy.hpp"
#include "cpu/parts.hpp"
#include "cuda/copy.hpp"

namespace ostinato {
namespace {

constexpr int64_t kGrain = 1 << 16;  // bytes that are worth a thread

// Where each operand starts along `axis` of the result.
Sizes starts_of(std::span<const Tensor> operands, int axis) {
  Sizes starts;
  int64_t start = 0;
  for (const Tensor& x : operands) {
    starts.push_back(start);
    start += x.size(axis);
  }
  return starts;
}

// Operands are copied side by side where all of them are small; a large copy is cut by itself.
void cat(const OpCall& call, std::span<Tensor> out) {
  const Tensor& y = out[0];
  const int axis = axis_of("cat", call.attr(0).as_int(), y.ndim(), y.sizes());
  const Sizes starts = starts_of(call.operands, axis);
  const auto put = [&](int64_t begin, int64_t end) {
    for (size_t i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
      const Tensor& x = call.operands[i];
      if (x.numel() > 0) copy_into(part_of(y, axis, starts[i], x.size(axis)), x);
    }
  };
  const int64_t count = static_cast<int64_t>(call.operands.size());
  const auto smaller = [](const Tensor& a, const Tensor& b) { return a.numel() < b.numel(); };
  const auto largest = std::ranges::max_element(call.operands, smaller);
  if (!y.device().is_cpu() || largest->numel() * num_threads() > y.numel()) return put(0, count);
  const int64_t bytes = y.numel() * static_cast<int64_t>(size_of(y.dtype()));
  parallel_for(count, std::max<int64_t>(1, kGrain * count / (bytes + 1)), put);
}
OSTINATO_KERNEL(cat, cat);
OSTINATO_CUDA_KERNEL(cat, cat);

void pad(const OpCall& call, std::span<Tensor> out) {
  Tensor x = call.operand(0), inside = out[0];
  const Sizes& amounts = call.attr(0).as_sizes();
  const std::string& mode = call.attr(1).as_string();
  if (mode != "constant") {
    throw Error(ErrorKind::value, "pad: '" + mode + "' is not known for mode; give 'constant'");
  }
  const Tensor value = number(call.attr(2).as_double());
  // Each axis fills the strips before and after what the next ones go on with.
  for (int i = 0; i < amounts.ssize() / 2; ++i) {
    const int axis = x.ndim() - 1 - i;
    const int64_t before = amounts[2 * i], after = amounts[2 * i + 1];
    const int64_t skipped = std::max<int64_t>(-before, 0), cut = std::max<int64_t>(-after, 0);
    const int64_t left = std::max<int64_t>(before, 0), right = std::max<int64_t>(after, 0);
    const int64_t grown = inside.size(axis);
    if (left > 0) copy_into(part_of(inside, axis, 0, std::min(left, grown)), value);
    if (right > 0) {
      const int64_t length = std::min(right, grown);
      copy_into(part_of(inside, axis, grown - length, length), value);
    }
    const int64_t kept = std::max<int64_t>(x.size(axis) - skipped - cut, 0);
    x = part_of(x, axis, skipped, kept);
    inside = part_of(inside, axis, std::min(left, grown), kept);
  }
  copy_into(inside, x);
}
OSTINATO_KERNEL(pad, pad);
OSTINATO_CUDA_KERNEL(pad, pad);

void flip(const OpCall& call, std::span<Tensor> out) {
  Tensor x = call.operand(0);
  const Sizes marks = reduced_axes("flip", call.attr(0), x.sizes());
  for (int i = 0; i < x.ndim(); ++i) {
    if (marks[i] != 0 && call.attr(0).as_sizes().size() > 0) {
      x = part_of(x, i, x.size(i) - 1, x.size(i), -1);
    }
  }
  copy_into(out[0], x);
}
OSTINATO_KERNEL(flip, flip);
OSTINATO_CUDA_KERNEL(flip, flip);

void slice_scatter(const OpCall& call, std::span<Tensor> out) {
  const Tensor &x = call.operand(0), &src = call.operand(1);
  if (x.ndim() == 0) {
    throw Error(ErrorKind::shape,
                "slice_scatter: shape () has no axis to slice; give a tensor with axes");
  }
  const int axis = axis_of("slice_scatter", call.attr(0).as_int(), x.ndim(), x.sizes());
  const auto [start, stop] =
      slice_bounds(x.size(axis), call.attr(1).as_int(), call.attr(2).as_int());
  const int64_t step = call.attr(3).as_int();
  if (step < 1) {
    throw Error(ErrorKind::shape, "slice_scatter: step " + std::to_string(step) +
                                      " is not positive; give a step from 1, then flip");
  }
  copy_into(out[0], x);
  const Tensor part = part_of(out[0], axis, start, (stop - start + step - 1) / step, step);
  check_broadcast("slice_scatter", src.sizes(), part.sizes());
  copy_into(part, broadcast_to(src, part.sizes()));
}
OSTINATO_KERNEL(slice_scatter, slice_scatter);
OSTINATO_CUDA_KERNEL(slice_scatter, slice_scatter);

void select_scatter(const OpCall& call, std::span<Tensor> out) {
  const Tensor &x = call.operand(0), &src = call.operand(1);
  if (x.ndim() == 0) {
    throw Error(ErrorKind::shape,
                "select_scatter: shape () has no axis to index; give a tensor with axes");
  }
  const int axis = axis_of("select_scatter", call.attr(0).as_int(), x.ndim(), x.sizes());
  const int64_t index = call.attr(1).as_int(), size = x.size(axis);
  if (index < -size || index >= size) {
    throw Error(ErrorKind::shape, "select_scatter: index " + std::to_string(index) +
                                      " is out of range for dim " + std::to_string(axis) +
                                      " of shape " + show(x.sizes()) + "; give an index from " +
                                      std::to_string(-size) + " to " + std::to_string(size - 1));
  }
  copy_into(out[0], x);
  const Tensor kept = part_of(out[0], axis, index < 0 ? index + size : index, 1);
  Sizes sizes = kept.sizes(), strides = kept.strides();
  sizes.erase(static_cast<size_t>(axis));
  strides.erase(static_cast<size_t>(axis));
  const Tensor part = as_view(kept, std::move(sizes), std::move(strides), kept->offset);
  check_broadcast("select_scatter", src.sizes(), part.sizes());
  copy_into(part, broadcast_to(src, part.sizes()));
}
OSTINATO_KERNEL(select_scatter, select_scatter);
OSTINATO_CUDA_KERNEL(select_scatter, select_scatter);

// In row-major order and by one thread: of elements on one place the last wins.
template <class T>
void store_in_order(const T* source, T* memory, const Sizes& sizes, const Sizes& strides,
                    int64_t offset) {
  Sizes index(sizes.size(), 0);
  const int64_t n = product(sizes);
  for (int64_t i = 0; i < n; ++i) {
    memory[offset] = source[i];
    for (int a = sizes.ssize() - 1; a >= 0; --a) {
      offset += strides[a];
      if (++index[a] < sizes[a]) break;
      offset -= strides[a] * sizes[a];
      index[a] = 0;
    }
  }
}

void as_strided_scatter(const OpCall& call, std::span<Tensor> out) {
  const Tensor &x = call.operand(0), &src = call.operand(1);
  const Sizes &sizes = call.attr(0).as_sizes(), &strides = call.attr(1).as_sizes();
  const int64_t offset = call.attr(2).as_int();
  if (sizes.size() != strides.size()) {
    throw Error(ErrorKind::shape, "as_strided_scatter: size " + show(sizes) + " and stride " +
                                      show(strides) + " differ in length; give one of each");
  }
  check_broadcast("as_strided_scatter", src.sizes(), sizes);
  check_reach("as_strided_scatter", sizes, strides, offset, x.numel());
  const ResultBuffer y(out[0], x.dtype());
  copy_into(y.tensor(), x);
  const Tensor source = contiguous_as(broadcast_to(src, sizes), x.dtype());
  if (y.tensor().device().is_cuda()) {
    cuda::store_in_order(y.tensor(), source, sizes, strides, offset);
  } else {
    for_size(size_of(x.dtype()), [&]<class T>(T) {
      store_in_order(source.data<T>(), y.data<T>(), sizes, strides, offset);
    });
  }
  y.store();
}
OSTINATO_KERNEL(as_strided_scatter, as_strided_scatter);
OSTINATO_CUDA_KERNEL(as_strided_scatter, as_strided_scatter);

}  // namespace
}  // namespace ostinato
