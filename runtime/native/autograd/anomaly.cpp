#include "autograd/anomaly.hpp"

#include <cmath>

#include "autograd/tape.hpp"
#include "ops.hpp"

namespace ostinato {
namespace {

thread_local Anomaly looked_for_now = Anomaly::none;
// What first made an infinity of finite numbers since this thread began to look.
thread_local std::string first_infinity;

bool has(uint16_t test, const Tensor& t) {
  if (!t || !is_float(t.dtype()) || t.numel() == 0) return false;
  const Tensor found = run_op(op_info(test), {&t, 1}, {});
  const Attr attrs[] = {Attr(), Attr(false)};
  return run_op(op_info(op::any), {&found, 1}, attrs).item_int() != 0;
}

bool any_has(uint16_t test, std::span<const Tensor> tensors) {
  for (const Tensor& t : tensors) {
    if (has(test, t)) return true;
  }
  return false;
}

}  // namespace

Anomaly anomaly() { return looked_for_now; }

void set_anomaly(Anomaly looked_for) {
  if (looked_for_now == Anomaly::none) first_infinity.clear();
  looked_for_now = looked_for;
}

LookedAt::LookedAt(std::span<const Tensor> given)
    : nan_(any_has(op::isnan, given)), infinite_(any_has(op::isinf, given)) {}

void LookedAt::check_op(const OpInfo& op, std::span<const Tensor> made) const {
  const std::string maker = std::string(op.name) + " at " + text_of(call_site());
  if (!nan_ && any_has(op::isnan, made)) {
    throw Error(ErrorKind::gradient,
                "detect_anomaly: " + maker + " makes NaN of operands that have none" + origin());
  }
  if (refuses_infinities(maker, made)) {
    throw Error(ErrorKind::gradient,
                "detect_anomaly: " + maker + " makes an infinity of finite operands");
  }
}

void LookedAt::check_gradient(const std::string& node, const std::string& advice,
                              std::span<const Tensor> made) const {
  const std::string maker = "the gradient of " + node;
  if (any_has(op::isnan, made)) {
    const std::string told = origin();
    throw Error(ErrorKind::gradient,
                "backward: " + maker + " holds NaN" + (told.empty() ? "; " + advice : told));
  }
  if (refuses_infinities(maker, made))
    throw Error(ErrorKind::gradient, "backward: " + maker + " holds an infinity; " + advice);
}

bool LookedAt::refuses_infinities(const std::string& maker, std::span<const Tensor> made) const {
  if (nan_ || infinite_ || !any_has(op::isinf, made)) return false;
  if (first_infinity.empty()) first_infinity = maker;
  return looked_for_now == Anomaly::infinite;
}

std::string LookedAt::origin() const {
  if (!infinite_ || first_infinity.empty()) return {};
  return "; the first infinity was made by " + first_infinity;
}

}  // namespace ostinato
