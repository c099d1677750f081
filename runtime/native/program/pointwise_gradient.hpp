// The printed gradient of a pointwise op for one of its operands.
#pragma once
#include "dispatch/op_table.hpp"

namespace ostinato {

struct PointwiseGradient {
  const PointwiseEntry& entry;
  uint32_t uncast;       // of the op, by operand
  const Sizes& result;   // the shape of the op's result
  const Sizes& operand;  // shape and dtype of the operand, and so of its cotangent
  DType dtype;
};

// The cotangent of the operand; `args` are those that the entry uses, in order.
Tensor pointwise_gradient(const PointwiseGradient& of, std::span<const Tensor> args);

}  // namespace ostinato
