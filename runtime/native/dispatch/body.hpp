// The bodies of composites, for kernels that do not take every call of an op that they claim.
#pragma once
#include "dispatch/op_call.hpp"

namespace ostinato {

// Runs the body of `call.op`; its results are copied to `results`.
void run_body(const OpCall& call, std::span<Tensor> results);

}  // namespace ostinato
