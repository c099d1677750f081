// One op called many times over, as steps of optimizers are for each parameter.
#pragma once
#include <vector>

#include "dispatch/op_call.hpp"

namespace ostinato {

// As call_op_into for each of `operands` and `targets`; on a CUDA device in a few launches.
void call_op_into_many(const OpInfo& op, std::span<const std::vector<Tensor>> operands,
                       std::span<const Attr> attrs, std::span<std::vector<Tensor>> targets);

}  // namespace ostinato
