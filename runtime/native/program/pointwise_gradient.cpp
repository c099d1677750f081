#include "program/pointwise_gradient.hpp"

#include <bit>

#include "ops.hpp"

namespace ostinato {
namespace {

// Sums over the axes that were broadcast.
Tensor reduce_to(Tensor t, const Sizes& sizes, DType dtype) {
  if (t.sizes() != sizes) {
    int lead = t.ndim() - sizes.ssize();
    Sizes axes;
    for (int i = 0; i < t.ndim(); ++i) {
      if (i < lead || (sizes[i - lead] == 1 && t.size(i) != 1)) axes.push_back(i);
    }
    if (!axes.empty()) {
      Attr attrs[] = {Attr(axes), Attr(true)};
      t = run_op(op_info(op::sum), {&t, 1}, attrs);
    }
    Attr shape[] = {Attr(sizes)};
    t = run_op(op_info(op::reshape), {&t, 1}, shape);
  }
  if (t.dtype() == dtype) return t;
  Tensor cast = empty(t.sizes(), dtype, t.device());
  copy_into(cast, t);
  return cast;
}

// Bit i: argument i comes in its own dtype. The entry's arguments are g, the result, operands.
uint32_t uncast_arguments(const PointwiseGradient& of) {
  uint32_t uncast = 0;
  int at = 0;
  for (uint32_t left = of.entry.uses; left; left &= left - 1, ++at) {
    int argument = std::countr_zero(left);
    if (argument >= 2) uncast |= (of.uncast >> (argument - 2) & 1) << at;
  }
  return uncast;
}

}  // namespace

Tensor pointwise_gradient(const PointwiseGradient& of, std::span<const Tensor> args) {
  const PointwiseEntry& e = of.entry;
  if (!e.inner) return reduce_to(args[0], of.operand, of.dtype);
  Tensor made = empty(of.result, of.operand == of.result ? of.dtype : e.compute, args[0].device());
  run_pointwise({e.inner, &e, e.compute, e.produces, uncast_arguments(of)}, {&made, 1}, args);
  return reduce_to(std::move(made), of.operand, of.dtype);
}

}  // namespace ostinato
