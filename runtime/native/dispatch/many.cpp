#include "dispatch/many.hpp"

#include "cuda/ops/optimizer.hpp"
#include "ops.hpp"
#include "trace/tracer.hpp"

namespace ostinato {
namespace {

bool is_step(const OpInfo& op) {
  return op.id == op::sgd_step || op.id == op::sgd_momentum_step || op.id == op::adam_step ||
         op.id == op::adamw_step;
}

// Whether the results of `call` can be written to `targets`, which lie on `device`.
bool fits(const OpCall& call, std::span<const Tensor> targets, Device device) {
  TensorMeta metas[kMaxResults];
  call.op->infer(call, metas);
  bool alike = device_of(call) == device;
  for (size_t i = 0; i < targets.size(); ++i) {
    alike &= targets[i].device() == device && targets[i].sizes() == metas[i].sizes &&
             targets[i].dtype() == metas[i].dtype;
  }
  return alike;
}

}  // namespace

void call_op_into_many(const OpInfo& op, std::span<const std::vector<Tensor>> operands,
                       std::span<const Attr> attrs, std::span<std::vector<Tensor>> targets) {
  if (operands.empty()) return;
  const Device device = targets[0][0].device();
  bool together = is_step(op) && device.is_cuda() && Tracer::active() == nullptr;
  std::vector<OpCall> calls;
  std::vector<std::span<Tensor>> results;
  for (size_t i = 0; i < operands.size() && together; ++i) {
    calls.push_back({&op, operands[i], attrs});
    results.emplace_back(targets[i]);
    together &= fits(calls[i], targets[i], device);
  }
  if (together) {
    cuda::step_many(calls, results);
    for (const std::vector<Tensor>& some : targets) {
      for (const Tensor& t : some) t->storage->bump_version();
    }
    return;
  }
  for (size_t i = 0; i < operands.size(); ++i) call_op_into(op, operands[i], attrs, targets[i]);
}

}  // namespace ostinato
