// Runs a scalar loop over the broadcast of its operands: coalesces axes, splits over the pool,
// converts operands of other dtypes in blocks that stay in L1.
#pragma once
#include <span>

#include "core/tensor.hpp"

namespace ostinato {

// One run of n elements. `ptrs` and `strides` (bytes, 0 for a broadcast operand): results first,
// then operands. A result may be an operand (in-place), element for element.
using InnerFn = void (*)(char* const* ptrs, const int64_t* strides, int64_t n);

// Names one printed kernel: an op (by id), a variant, and the op itself (operand -1) or the
// gradient of an operand, whose arguments are those of `uses`. On a CUDA device its function is
// called so.
struct PointwiseEntry;  // dispatch/op_table.hpp

struct PointwiseKernel {
  InnerFn inner = nullptr;
  const PointwiseEntry* entry = nullptr;
  DType compute = DType::float32_;   // what operands are converted to (float for the half types)
  DType produces = DType::float32_;  // what the inner function writes; converted to the result's
  uint32_t uncast = 0;               // bit i: operand i comes in its own dtype (a bool condition)
};

inline constexpr int kMaxPointwise = 16;  // results and operands together

// Results have the broadcast shape. Operands that are null are not passed on.
void run_pointwise(const PointwiseKernel& kernel, std::span<Tensor> results,
                   std::span<const Tensor> operands);

}  // namespace ostinato
