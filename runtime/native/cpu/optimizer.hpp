// What a call of an optimizer's step asks for, the same for every device.
#pragma once
#include <array>

#include "cpu/simd/optimizer.hpp"
#include "dispatch/op_call.hpp"

namespace ostinato {

struct StepCall {
  OptimizerStep kind;
  int tensors;  // the first operands, all of the shape of the parameter
  DType compute;
  int factor_count;
  std::array<double, 7> factors;  // in the order of simd/optimizer.hpp
  // Where `step` lies on a device, itself and what is combined with it there: lr and beta1 of adam,
  // dampening of momentum.
  Tensor step = {};
  std::array<double, 2> with_step = {};
};

// Combines the hyperparameters in float64. Throws Error (shape) for tensors of several shapes, and
// for a hyperparameter that is not one number.
StepCall read_step(const OpCall& call);

}  // namespace ostinato
