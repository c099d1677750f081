// Steps of optimizers: parameters that are changed alike go in one launch.
#include "cuda/ops/optimizer.hpp"

#include <algorithm>
#include <vector>

#include "cpu/copy.hpp"
#include "cpu/optimizer.hpp"
#include "cuda/kernels/optimizer.hpp"
#include "cuda/ops/arguments.hpp"

namespace ostinato::cuda {
namespace {

// By kind, then float32 and float64.
KernelName kernels[][2] = {{{"optimizer", "sgd_float32"}, {"optimizer", "sgd_float64"}},
                           {{"optimizer", "momentum_float32"}, {"optimizer", "momentum_float64"}},
                           {{"optimizer", "nesterov_float32"}, {"optimizer", "nesterov_float64"}},
                           {{"optimizer", "adam_float32"}, {"optimizer", "adam_float64"}},
                           {{"optimizer", "adamw_float32"}, {"optimizer", "adamw_float64"}}};

// Parameters that wait for a launch together.
class Group {
 public:
  explicit Group(int device) : device_(device) {}

  void add(const StepCall& step, const OpCall& call, std::span<Tensor> results) {
    const int64_t n = results[0].numel();
    if (n == 0) return;
    check_size(call.op->name, n);
    if (params_.parameters == kMostGroup || !goes_along(step, call, results)) flush();
    if (params_.parameters == 0) begin(step, call, results);
    const uint32_t k = params_.parameters++;
    params_.count[k] = static_cast<uint32_t>(n);
    params_.step[k] = step.step ? memory_of(step.step) : nullptr;
    const uint32_t blocks = (params_.count[k] + kStepPart - 1) / kStepPart;
    params_.first_block[k + 1] = params_.first_block[k] + blocks;
    for (int t = 0; t < step.tensors; ++t) params_.from[k][t] = memory_of(call.operand(t));
    for (size_t t = 0; t < results.size(); ++t) params_.to[k][t] = memory_of(results[t]);
  }

  void flush() {
    if (params_.parameters == 0) return;
    KernelName& kernel =
        kernels[static_cast<int>(step_.kind)][step_.compute == DType::float64_ ? 1 : 0];
    launch(kernel, device_, {params_.first_block[params_.parameters]}, kThreads, 0, params_);
    params_.parameters = 0;
  }

 private:
  void begin(const StepCall& step, const OpCall& call, std::span<Tensor> results) {
    step_ = step;
    std::copy(step.factors.begin(), step.factors.end(), params_.factors);
    for (int t = 0; t < step.tensors; ++t) params_.from_dtypes[t] = call.operand(t).dtype();
    for (size_t t = 0; t < results.size(); ++t) params_.to_dtypes[t] = results[t].dtype();
    std::copy(step.with_step.begin(), step.with_step.end(), params_.with_step);
    params_.step_dtype = step.step ? step.step.dtype() : DType::float64_;
    params_.first_block[0] = 0;
  }

  bool goes_along(const StepCall& step, const OpCall& call, std::span<Tensor> results) const {
    if (params_.parameters == 0) return true;
    bool alike = step.kind == step_.kind && step.compute == step_.compute &&
                 step.factors == step_.factors && step.with_step == step_.with_step &&
                 (!step.step || step.step.dtype() == params_.step_dtype);
    for (int t = 0; t < step.tensors; ++t) {
      alike &= params_.from_dtypes[t] == call.operand(t).dtype();
    }
    for (size_t t = 0; t < results.size(); ++t) {
      alike &= params_.to_dtypes[t] == results[t].dtype();
    }
    return alike;
  }

  int device_;
  StepCall step_{};  // of the first parameter
  StepParams params_{};
};

bool is_dense(const StepCall& step, const OpCall& call, std::span<const Tensor> results) {
  const std::span<const Tensor> operands = call.operands.first(static_cast<size_t>(step.tensors));
  const auto dense = [](const Tensor& t) { return t.contiguous(); };
  return std::all_of(operands.begin(), operands.end(), dense) &&
         std::all_of(results.begin(), results.end(), dense);
}

// A step of tensors that are not dense: on copies.
void step_copies(const StepCall& step, const OpCall& call, std::span<Tensor> results) {
  std::vector<Tensor> operands(call.operands.begin(), call.operands.end()), made;
  for (int t = 0; t < step.tensors; ++t) operands[static_cast<size_t>(t)] = contiguous(operands[t]);
  for (const Tensor& r : results) made.push_back(empty(r.sizes(), r.dtype(), r.device()));
  Group group(results[0].device().index);
  group.add(step, {call.op, operands, call.attrs}, made);
  group.flush();
  for (size_t i = 0; i < results.size(); ++i) copy_into(results[i], made[i]);
}

}  // namespace

void step_many(std::span<const OpCall> calls, std::span<const std::span<Tensor>> results) {
  if (calls.empty()) return;
  Group group(results[0][0].device().index);
  for (size_t i = 0; i < calls.size(); ++i) {
    const StepCall step = read_step(calls[i]);
    if (is_dense(step, calls[i], results[i])) {
      group.add(step, calls[i], results[i]);
    } else {
      step_copies(step, calls[i], results[i]);
    }
  }
  group.flush();
}

namespace {

void step_one(const OpCall& call, std::span<Tensor> results) {
  step_many({&call, 1}, {&results, 1});
}
OSTINATO_CUDA_KERNEL(sgd_step, step_one);
OSTINATO_CUDA_KERNEL(sgd_momentum_step, step_one);
OSTINATO_CUDA_KERNEL(adam_step, step_one);
OSTINATO_CUDA_KERNEL(adamw_step, step_one);

}  // namespace
}  // namespace ostinato::cuda
