// `detect_anomaly`: which op, and which gradient, first makes NaN.
#pragma once
#include <span>
#include <string>

#include "dispatch/op_call.hpp"

namespace ostinato {

// What this thread refuses: nothing, NaN, or also infinities that are made of finite numbers.
enum class Anomaly : uint8_t { none, nan, infinite };
Anomaly anomaly();
void set_anomaly(Anomaly looked_for);
inline bool looks_for_anomaly() { return anomaly() != Anomaly::none; }

// What a call or a gradient is given, looked at before it runs, since that may change it.
class LookedAt {
 public:
  explicit LookedAt(std::span<const Tensor> given);
  // Error (gradient) with the op and the line that runs, where it made what it was not given.
  void check_op(const OpInfo& op, std::span<const Tensor> made) const;
  // The same where a gradient holds it; `node` names the op, and `advice` says what to do.
  void check_gradient(const std::string& node, const std::string& advice,
                      std::span<const Tensor> made) const;

 private:
  // Notes that finite numbers became infinities, and whether that is refused.
  bool refuses_infinities(const std::string& maker, std::span<const Tensor> made) const;
  std::string origin() const;

  bool nan_, infinite_;
};

}  // namespace ostinato
