#include "dispatch/autocast.hpp"

#include "ops.hpp"
#include "trace/leave.hpp"

namespace ostinato {
namespace {

thread_local Autocast current;

// float64 is left alone, as PyTorch leaves it; so are numbers, which take the dtype of the others.
bool may_be_cast(const Tensor& t) {
  return t && !t->wrapped && is_float(t.dtype()) && t.dtype() != DType::float64_;
}

// A number divided by a tensor is the tensor's reciprocal times it, to PyTorch.
CastRule rule_of(const OpInfo& op, std::span<const Tensor> operands) {
  const bool is_reciprocal = op.id == op::div && operands[0] && operands[0]->wrapped;
  return is_reciprocal ? CastRule::wide : cast_rule(op.id);
}

}  // namespace

Autocast& autocast() { return current; }

bool cast_operands(const OpInfo& op, std::span<const Tensor> operands, std::vector<Tensor>& cast) {
  const CastRule rule = rule_of(op, operands);
  if (rule == CastRule::none) return false;
  for (size_t i = 0; i < operands.size(); ++i) {
    if (!may_be_cast(operands[i])) continue;
    const std::optional<DType>& low = current.of(operands[i].device());
    if (!low) continue;
    const DType to = rule == CastRule::low ? *low : DType::float32_;
    if (operands[i].dtype() == to) continue;
    if (cast.empty()) cast.assign(operands.begin(), operands.end());
    const InUse held(cast);
    const Attr attrs[] = {Attr(to)};
    cast[i] = call_op(op_info(op::to), operands.subspan(i, 1), attrs);
  }
  return !cast.empty();
}

}  // namespace ostinato
