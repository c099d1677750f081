// Steps of optimizers: hyperparameters are combined in float64, then one loop does the rest.
#include "cpu/simd/optimizer.hpp"

#include <cmath>
#include <string>

#include "cpu/isa.hpp"
#include "dispatch/op_call.hpp"
#include "dispatch/shape_rules.hpp"

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

// The first `tensors` operands of `call`, then `factors`.
void run_step(const OpCall& call, std::span<Tensor> out, OptimizerStep step, int tensors,
              std::initializer_list<double> factors) {
  Tensor operands[kMaxPointwise];
  DType dtype = DType::float32_;
  int count = 0;
  for (; count < tensors; ++count) {
    operands[count] = call.operand(count);
    const Tensor& t = operands[count];
    if (t.sizes() != out[0].sizes()) {
      throw Error(ErrorKind::shape, std::string(call.op->name) + ": " +
                                        call.op->params[count].name + " has shape " +
                                        show(t.sizes()) + ", param " + show(out[0].sizes()) +
                                        "; give tensors of one shape");
    }
    if (t.dtype() == DType::float64_) dtype = DType::float64_;
  }
  uint32_t uncast = 0;
  for (double f : factors) {
    uncast |= 1u << count;
    operands[count++] = number(f);
  }
  const InnerFn inner = OSTINATO_CHOOSE(optimizer_step(step, dtype));
  run_pointwise({inner, nullptr, dtype, dtype, uncast}, out,
                {operands, static_cast<size_t>(count)});
}

void sgd_step(const OpCall& call, std::span<Tensor> out) {
  const double lr = hyperparameter(call, 2), decay = hyperparameter(call, 3);
  run_step(call, out, OptimizerStep::sgd, 2, {decay, -lr});
}
OSTINATO_KERNEL(sgd_step, sgd_step);

void sgd_momentum_step(const OpCall& call, std::span<Tensor> out) {
  const double step = hyperparameter(call, 3), lr = hyperparameter(call, 4);
  const double momentum = hyperparameter(call, 5), dampening = hyperparameter(call, 6);
  const double share = step <= 1 ? 1.0 : 1.0 - dampening;
  const bool nesterov = call.attr(0).as_bool();
  run_step(call, out, nesterov ? OptimizerStep::nesterov : OptimizerStep::momentum, 3,
           {hyperparameter(call, 7), -lr, momentum, share});
}
OSTINATO_KERNEL(sgd_momentum_step, sgd_momentum_step);

void adam(const OpCall& call, std::span<Tensor> out, OptimizerStep kind) {
  const double step = hyperparameter(call, 4), lr = hyperparameter(call, 5);
  const double beta1 = hyperparameter(call, 6), beta2 = hyperparameter(call, 7);
  const double eps = hyperparameter(call, 8), weight_decay = hyperparameter(call, 9);
  const double decay = kind == OptimizerStep::adamw ? 1.0 - lr * weight_decay : weight_decay;
  run_step(call, out, kind, 4,
           {decay, 1.0 - beta1, beta2, 1.0 - beta2, -(lr / (1.0 - std::pow(beta1, step))),
            std::sqrt(1.0 - std::pow(beta2, step)), eps});
}

void adam_step(const OpCall& call, std::span<Tensor> out) { adam(call, out, OptimizerStep::adam); }
OSTINATO_KERNEL(adam_step, adam_step);

void adamw_step(const OpCall& call, std::span<Tensor> out) {
  adam(call, out, OptimizerStep::adamw);
}
OSTINATO_KERNEL(adamw_step, adamw_step);

}  // namespace
}  // namespace ostinato
