// Steps of optimizers: hyperparameters are combined in float64, then one loop does the rest.
#include "cpu/optimizer.hpp"

#include <cmath>
#include <string>

#include "cpu/isa.hpp"
#include "dispatch/op_table.hpp"
#include "dispatch/shape_rules.hpp"
#include "ops.hpp"

namespace ostinato {

OSTINATO_PER_ISA(InnerFn optimizer_step(OptimizerStep step, DType dtype);)

namespace {

double hyperparameter(const OpCall& call, int i) {
  const Tensor& t = call.operand(i);
  if (t.numel() == 1) return t.item_double();
  throw Error(ErrorKind::shape, std::string(call.op->name) + ": " + call.op->params[i].name +
                                    " has shape " + show(t.sizes()) +
                                    "; give a number or a 0-d tensor");
}

// float64 where one of the tensors is.
DType checked_dtype(const OpCall& call, int tensors) {
  DType dtype = DType::float32_;
  for (int i = 0; i < tensors; ++i) {
    const Tensor& t = call.operand(i);
    if (t.sizes() != call.operand(0).sizes()) {
      throw Error(ErrorKind::shape, std::string(call.op->name) + ": " + call.op->params[i].name +
                                        " has shape " + show(t.sizes()) + ", param " +
                                        show(call.operand(0).sizes()) +
                                        "; give tensors of one shape");
    }
    if (t.dtype() == DType::float64_) dtype = DType::float64_;
  }
  return dtype;
}

StepCall read_sgd(const OpCall& call) {
  const double lr = hyperparameter(call, 2), decay = hyperparameter(call, 3);
  return {OptimizerStep::sgd, 2, checked_dtype(call, 2), 2, {decay, -lr}};
}

// The operand `step` where its number is left on a device, else null.
Tensor step_on_device(const OpCall& call, int i) {
  const Tensor& step = call.operand(i);
  return step.device().is_cuda() && step.numel() == 1 ? step : Tensor();
}

StepCall read_momentum(const OpCall& call) {
  const Tensor there = step_on_device(call, 3);
  const double step = there ? 2.0 : hyperparameter(call, 3), lr = hyperparameter(call, 4);
  const double momentum = hyperparameter(call, 5), dampening = hyperparameter(call, 6);
  const double share = step <= 1 ? 1.0 : 1.0 - dampening;
  const bool nesterov = call.attr(0).as_bool();
  return {nesterov ? OptimizerStep::nesterov : OptimizerStep::momentum,
          3,
          checked_dtype(call, 3),
          4,
          {hyperparameter(call, 7), -lr, momentum, share},
          there,
          {dampening}};
}

StepCall read_adam(const OpCall& call, OptimizerStep kind) {
  const Tensor there = step_on_device(call, 4);
  const double step = there ? 1.0 : hyperparameter(call, 4), lr = hyperparameter(call, 5);
  const double beta1 = hyperparameter(call, 6), beta2 = hyperparameter(call, 7);
  const double eps = hyperparameter(call, 8), weight_decay = hyperparameter(call, 9);
  const double decay = kind == OptimizerStep::adamw ? 1.0 - lr * weight_decay : weight_decay;
  return {kind,
          4,
          checked_dtype(call, 4),
          7,
          {decay, 1.0 - beta1, beta2, 1.0 - beta2, -(lr / (1.0 - std::pow(beta1, step))),
           std::sqrt(1.0 - std::pow(beta2, step)), eps},
          there,
          {lr, beta1}};
}

void run_step(const OpCall& call, std::span<Tensor> out) {
  const StepCall step = read_step(call);
  Tensor operands[kMaxPointwise];
  int count = 0;
  for (; count < step.tensors; ++count) operands[count] = call.operand(count);
  uint32_t uncast = 0;
  for (int i = 0; i < step.factor_count; ++i) {
    uncast |= 1u << count;
    operands[count++] = number(step.factors[static_cast<size_t>(i)]);
  }
  const InnerFn inner = OSTINATO_CHOOSE(optimizer_step(step.kind, step.compute));
  run_pointwise({inner, nullptr, step.compute, step.compute, uncast}, out,
                {operands, static_cast<size_t>(count)});
}
OSTINATO_KERNEL(sgd_step, run_step);
OSTINATO_KERNEL(sgd_momentum_step, run_step);
OSTINATO_KERNEL(adam_step, run_step);
OSTINATO_KERNEL(adamw_step, run_step);

}  // namespace

StepCall read_step(const OpCall& call) {
  switch (call.op->id) {
    case op::sgd_step:
      return read_sgd(call);
    case op::sgd_momentum_step:
      return read_momentum(call);
    case op::adam_step:
      return read_adam(call, OptimizerStep::adam);
    default:
      return read_adam(call, OptimizerStep::adamw);
  }
}

}  // namespace ostinato
