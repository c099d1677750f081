// Autocast: inside of it ops of the table run on operands cast to a narrower or a wider dtype.
#pragma once
#include <optional>
#include <vector>

#include "dispatch/op_call.hpp"

namespace ostinato {

// What autocast does with the floating-point operands of an op: nothing; cast them to its dtype;
// cast them to float32.
enum class CastRule : uint8_t { none, low, wide };

// The rule of op number `id`. Printed from the table (ops.cpp).
CastRule cast_rule(uint16_t id);

// The dtype of operands on each kind of device, none where they stay as they are.
struct Autocast {
  std::optional<DType> cpu, cuda;

  bool is_on() const { return cpu || cuda; }
  const std::optional<DType>& of(Device device) const { return device.is_cuda() ? cuda : cpu; }
};

// Of this thread.
Autocast& autocast();

// Where the rule of `op` asks for it: `operands`, cast, in `cast`. The casts are ops of their own,
// so that the tape and a trace see them. False where every operand stays.
bool cast_operands(const OpInfo& op, std::span<const Tensor> operands, std::vector<Tensor>& cast);

}  // namespace ostinato
