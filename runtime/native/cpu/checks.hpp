// What kernels of every device refuse about the values and shapes of their operands.
#pragma once
#include <cstdint>

#include "dispatch/op_call.hpp"

namespace ostinato {

// Throws Error (shape) where an op that chooses elements has results and nothing to choose from.
void check_has_elements(const OpCall& call, const Tensor& result);
// `sizes` must be those of an index_select of x along `dim`; `what` names the operand.
void check_source(const OpCall& call, const char* what, const Sizes& sizes, const Sizes& x,
                  const Tensor& index, int64_t dim);
// How many integers there are from low to high - 1: from 1 to 2^32, else Error (value).
uint64_t check_span(int64_t low, int64_t high);

// Errors (index) for an index into `size` rows, and for a class that is not one of `classes`.
[[noreturn]] void fail_index(const char* op, int64_t index, int64_t size);
[[noreturn]] void fail_target(int64_t target, int64_t classes);
// Error (value) for the weights of multinomial.
[[noreturn]] void fail_weights();

}  // namespace ostinato
