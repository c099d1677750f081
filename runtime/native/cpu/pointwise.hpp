// Runs a scalar loop over the broadcast of its operands: coalesces axes, splits over the pool,
// converts operands of other dtypes in blocks that stay in L1.
#pragma once
#include <span>

#include "core/tensor.hpp"
#include "cpu/pointwise_entry.hpp"

namespace ostinato {

struct PointwiseKernel {
  InnerFn inner = nullptr;
  const PointwiseEntry* entry = nullptr;  // names its function on a CUDA device
  DType compute = DType::float32_;   // what operands are converted to (float for the half types)
  DType produces = DType::float32_;  // what the inner function writes; converted to the result's
  uint32_t uncast = 0;               // bit i: operand i comes in its own dtype (a bool condition)
};

inline constexpr int kMaxPointwise = 16;  // results and operands together

// Results have the broadcast shape. Operands that are null are not passed on.
void run_pointwise(const PointwiseKernel& kernel, std::span<Tensor> results,
                   std::span<const Tensor> operands);

}  // namespace ostinato
