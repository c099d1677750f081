// From the number of an element to where it lies.
#pragma once
#include "cuda/kernels/params.hpp"
#include "cuda/kernels/target.cuh"

namespace ostinato::cuda {

__device__ __forceinline__ uint32_t divide(uint32_t n, const Divider& d) {
  return (__umulhi(n, d.magic) + n) >> d.shift;
}

// The offset in bytes of element `index`.
__device__ __forceinline__ int64_t offset_of(const Axes& axes, uint32_t index) {
  int64_t offset = 0;
#pragma unroll 1
  for (int axis = 0; axis < axes.count - 1; ++axis) {
    const uint32_t outer = divide(index, axes.sizes[axis]);
    offset += (index - outer * axes.sizes[axis].size) * axes.strides[axis];
    index = outer;
  }
  return axes.count == 0 ? 0 : offset + index * axes.strides[axes.count - 1];
}

}  // namespace ostinato::cuda
