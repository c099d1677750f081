// What user code holds of a finished region gets its value.
#pragma once
#include <span>

#include "trace/tracer.hpp"

namespace ostinato::python {

// Each tensor that is held becomes another name of its value: of the memory, and of the place on
// the tape. Views and grads lead to what is held.
void deliver(const Tracer& tracer, std::span<const Tensor> held, std::span<const Tensor> values);

}  // namespace ostinato::python
