// Loops cut into parts that one launch can run.
#pragma once
#include <cstdlib>

#include "cpu/strided.hpp"
#include "cuda/kernels/params.hpp"

namespace ostinato::cuda {

// The axis to halve so that indices and offsets in bytes fit in 31 bits and axes in the parameters
// of a kernel, -1 where they do.
inline int axis_to_halve(const StridedLoop& loop) {
  if (loop.axes > kMostAxes) return 0;
  constexpr int64_t kMost = int64_t{1} << 31;
  bool fits = loop.numel < kMost;
  int widest = 0;
  int64_t width = 0;
  for (int a = 0; a < loop.args; ++a) {
    int64_t span = 0;
    for (int i = 0; i < loop.axes; ++i) {
      const int64_t along = std::abs(loop.strides[i][a]) * loop.sizes[i];
      span += along;
      if (std::max(along, loop.sizes[i]) > width) {
        width = std::max(along, loop.sizes[i]);
        widest = i;
      }
    }
    fits &= span < kMost;
  }
  return fits ? -1 : widest;
}

// f(part) for parts of `loop` that a launch can run.
template <class F>
void for_parts(const StridedLoop& loop, F&& f) {
  const int axis = axis_to_halve(loop);
  if (axis < 0) return f(loop);
  const int64_t size = loop.sizes[axis], half = (size + 1) / 2;
  for (int64_t first = 0; first < size; first += half) {
    StridedLoop part = loop;
    part.sizes[axis] = std::min(half, size - first);
    part.numel = loop.numel / size * part.sizes[axis];
    for (int a = 0; a < loop.args; ++a) part.data[a] += first * loop.strides[axis][a];
    if (part.sizes[axis] == 1 && part.axes > 1) {
      --part.axes;
      std::copy(part.sizes + axis + 1, part.sizes + loop.axes, part.sizes + axis);
      std::copy(loop.strides[axis + 1], loop.strides[loop.axes], part.strides[axis]);
    }
    for_parts(part, f);
  }
}

// The form in which a kernel divides by `size`, from 1 to 2^31 - 1.
inline Divider divider(int64_t size) {
  const uint64_t d = static_cast<uint64_t>(size);
  const uint32_t shift = d == 1 ? 0 : 32 - static_cast<uint32_t>(__builtin_clz(d - 1));
  const uint64_t magic = (((uint64_t{1} << shift) - d) << 32) / d + 1;
  return {static_cast<uint32_t>(d), static_cast<uint32_t>(magic), shift};
}

}  // namespace ostinato::cuda
