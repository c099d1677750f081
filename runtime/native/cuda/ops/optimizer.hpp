// Steps of optimizers on CUDA devices.
#pragma once
#include <span>

#include "dispatch/op_call.hpp"

namespace ostinato::cuda {

// Runs calls of one optimizer's step on one device, those that are alike together. Each has results
// of the shapes and dtypes that it makes; an operand may be a result, element for element.
void step_many(std::span<const OpCall> calls, std::span<const std::span<Tensor>> results);

}  // namespace ostinato::cuda
