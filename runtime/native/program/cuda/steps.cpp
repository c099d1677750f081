#include "program/cuda/steps.hpp"

#include <algorithm>
#include <cstring>

#include "cuda/choices.hpp"
#include "cuda/context.hpp"
#include "cuda/driver.hpp"
#include "cuda/launch.hpp"
#include "cuda/stream.hpp"
#include "dispatch/op_table.hpp"

namespace ostinato {
namespace {

constexpr uint32_t kSlotThreads = 256;

cuda::KernelName store_slots{"slots", "store_slots"};

bool is_of_host(const Tensor& t) { return t && t.device().is_cpu(); }

}  // namespace

void run_call(const CompiledStep& step, std::span<const Tensor> operands, std::span<Tensor> results,
              Device device) {
  const OpCall call{step.op, operands, step.attrs};
  if (step.op->kind == OpKind::pointwise) return run_pointwise_op(call, results);
  if (const KernelFn kernel = kernel_on(*step.op, device)) return kernel(call, results);
  const DeviceScope scope(device);
  Tensor made[kMaxResults];
  run_op(*step.op, operands, step.attrs, made);
  for (size_t i = 0; i < results.size(); ++i) copy_into(results[i], made[i]);
}

CudaSteps::CudaSteps(const CompiledProgram& program, Memory& memory)
    : program_(program),
      memory_(memory),
      kernels_(program.steps.size()),
      slots_(program.steps.size()),
      seen_(program.steps.size()) {
  cuda::use_device(program.device.index);
  for (size_t s = 0; s < program.steps.size(); ++s) {
    if (program.steps[s].kind == StepKind::launch) prepare_launch(s);
    if (program.steps[s].kind == StepKind::upload) prepare_upload(s);
  }
}

// After its pointers and sizes a Triton kernel takes two more pointers, of scratch memory, which is
// none. A size of 32 bits is the lower half of one in `pointers`.
void CudaSteps::prepare_launch(size_t s) {
  const CompiledStep& step = program_.steps[s];
  const CubinKernel& k = program_.cubins->kernel(step.cubin);
  Kernel made;
  void** pointers = memory_.pointers(s);
  const size_t count = step.tensors.size() + step.sizes.size();
  for (size_t i = 0; i < count; ++i) made.arguments.push_back(pointers + i);
  made.arguments.push_back(&null_);
  made.arguments.push_back(&null_);
  made.node.func =
      program_.cubins->function(step.cubin, program_.device.index, [&] { return described(s); });
  made.node.gridDimX = step.programs;
  made.node.gridDimY = made.node.gridDimZ = 1;
  made.node.blockDimX = k.threads;
  made.node.blockDimY = made.node.blockDimZ = 1;
  made.node.sharedMemBytes = k.shared;
  kernels_[s].push_back(std::move(made));
  kernels_[s][0].node.kernelParams = kernels_[s][0].arguments.data();
}

void CudaSteps::prepare_upload(size_t s) {
  std::span<Tensor> results = memory_.results(s);
  const size_t count = results.size();
  slots_[s].parts.resize((count + cuda::kMostSlots - 1) / cuda::kMostSlots);
  kernels_[s].resize(slots_[s].parts.size());
  for (size_t i = 0; i < kernels_[s].size(); ++i) {
    cuda::SlotParams& part = slots_[s].parts[i];
    const size_t first = i * cuda::kMostSlots;
    part.to = reinterpret_cast<cuda::Slot*>(results[first].bytes());
    part.count = static_cast<uint32_t>(std::min<size_t>(count - first, cuda::kMostSlots));
    Kernel& made = kernels_[s][i];
    made.arguments = {&part};
    made.node.func = store_slots.on(program_.device.index);
    made.node.gridDimX = made.node.gridDimY = made.node.gridDimZ = 1;
    made.node.blockDimX = kSlotThreads;
    made.node.blockDimY = made.node.blockDimZ = 1;
    made.node.kernelParams = made.arguments.data();
  }
}

void CudaSteps::run_host() {
  for (size_t s = 0; s < program_.steps.size(); ++s) {
    const CompiledStep& step = program_.steps[s];
    if (step.kind == StepKind::upload) fill_slots(s);
    if (step.host) run_call(step, memory_.operands(s), memory_.results(s), kCpu);
  }
}

void CudaSteps::fill_slots(size_t s) {
  std::span<const Tensor> operands = memory_.operands(s);
  for (size_t i = 0; i < operands.size(); ++i) {
    cuda::Slot value = {};
    const Tensor& t = operands[i];
    std::memcpy(&value, t.bytes(), static_cast<size_t>(t.numel()) * size_of(t.dtype()));
    cuda::Slot& slot = slots_[s].parts[i / cuda::kMostSlots].values[i % cuda::kMostSlots];
    if (slot.low == value.low && slot.high == value.high) continue;
    slot = value;
    slots_[s].changed = true;
  }
}

void CudaSteps::run(size_t s) {
  const CompiledStep& step = program_.steps[s];
  if (step.host) return;
  if (step.kind == StepKind::call) {
    const cuda::blas::ChoiceScope choices;
    return run_call(step, memory_.operands(s), memory_.results(s), program_.device);
  }
  for (Kernel& k : kernels_[s]) {
    const CUDA_KERNEL_NODE_PARAMS& n = k.node;
    OSTINATO_CUDA(cuLaunchKernel, n.func, n.gridDimX, n.gridDimY, n.gridDimZ, n.blockDimX,
                  n.blockDimY, n.blockDimZ, n.sharedMemBytes,
                  cuda::current_handle(program_.device.index), n.kernelParams, nullptr);
  }
}

bool CudaSteps::reads_host(size_t s) const {
  const CompiledStep& step = program_.steps[s];
  if (step.kind != StepKind::call) return step.kind == StepKind::upload;
  for (int t : step.tensors) {
    if (t < 0) continue;
    const Placed& p = program_.tensors[t];
    if (p.space == Space::host || (p.space == Space::input && program_.inputs[p.place].host)) {
      return true;
    }
  }
  return false;
}

bool CudaSteps::changed(size_t s) const {
  if (program_.steps[s].kind == StepKind::upload) return slots_[s].changed;
  return host_operands(s) != seen_[s];
}

void CudaSteps::note_values(size_t s) {
  if (program_.steps[s].kind == StepKind::upload)
    slots_[s].changed = false;
  else
    seen_[s] = host_operands(s);
}

std::vector<std::byte> CudaSteps::host_operands(size_t s) const {
  std::vector<std::byte> now;
  for (const Tensor& t : memory_.operands(s)) {
    if (!is_of_host(t)) continue;
    const size_t bytes = static_cast<size_t>(t.numel()) * size_of(t.dtype());
    now.insert(now.end(), t.bytes(), t.bytes() + bytes);
  }
  return now;
}

std::string CudaSteps::described(size_t s) const {
  const CompiledStep& step = program_.steps[s];
  const std::string what = step.kind == StepKind::launch ? "kernel " + step.name
                           : step.kind == StepKind::call ? "op " + step.name
                                                         : "the upload of numbers";
  return step.location.empty() ? what : what + " (" + step.location + ")";
}

}  // namespace ostinato
