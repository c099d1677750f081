// One step of an optimizer over runs of elements, all results in one pass.
#pragma once
#include "cpu/pointwise_entry.hpp"

namespace ostinato {

enum class OptimizerStep : uint8_t { sgd, momentum, nesterov, adam, adamw };

// The pointers of these inner functions: results, tensors, then factors, float64 and one each.
//   sgd:      param | param, grad | weight_decay, -lr
//   momentum, nesterov: param, buffer | param, grad, buffer | weight_decay, -lr, momentum, share
//             of the gradient
//   adam:     param, mean, square | param, grad, mean, square | weight_decay, 1 - beta1, beta2,
//             1 - beta2, negated step size, root of the bias correction, eps
//   adamw:    as adam, the first factor being what the parameter is multiplied by
// `dtype` is float32 or float64. Results may be operands, element for element.

}  // namespace ostinato
