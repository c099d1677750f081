#include "dispatch/autocast.hpp"

#include "ops.hpp"

namespace ostinato {
namespace {

thread_local Autocast current;

// float64 is left alone, as PyTorch leaves it; so are numbers, which take the dtype of the others.
bool is_cast(const Tensor& t, DType to) {
  return t && !t->wrapped && t.device().type == current.where && is_float(t.dtype()) &&
         t.dtype() != DType::float64_ && t.dtype() != to;
}

}  // namespace

Autocast& autocast() { return current; }

bool cast_operands(const OpInfo& op, std::span<const Tensor> operands, std::vector<Tensor>& cast) {
  const CastRule rule = cast_rule(op.id);
  if (rule == CastRule::none) return false;
  const DType to = rule == CastRule::low ? current.dtype : DType::float32_;
  for (size_t i = 0; i < operands.size(); ++i) {
    if (!is_cast(operands[i], to)) continue;
    if (cast.empty()) cast.assign(operands.begin(), operands.end());
    const Attr attrs[] = {Attr(to)};
    cast[i] = call_op(op_info(op::to), operands.subspan(i, 1), attrs);
  }
  return !cast.empty();
}

}  // namespace ostinato
