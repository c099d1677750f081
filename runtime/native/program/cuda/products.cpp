#include "program/cuda/products.hpp"

#include "cuda/context.hpp"
#include "cuda/driver.hpp"
#include "ops.hpp"
#include "program/cuda/steps.hpp"

namespace ostinato {
namespace {

// Of memory that the caching allocator gives, and so of arenas, inputs and outputs.
constexpr int64_t kAlignment = 256;
// Each byte of made up operands: small numbers in every float type.
constexpr unsigned char kByte = 0x3c;

bool is_product(const CompiledStep& step) {
  return step.kind == StepKind::call && !step.host &&
         (step.op == &op_info(op::matmul) || step.op == &op_info(op::linear));
}

// A tensor as `p`, as well aligned, in memory of its own.
Tensor stand_in(const Placed& p, Device device) {
  const int64_t item = static_cast<int64_t>(size_of(p.dtype));
  int64_t end = p.start + 1;
  for (int i = 0; i < p.sizes.ssize(); ++i) {
    end += std::max<int64_t>((p.sizes[i] - 1) * p.strides[i], 0);
  }
  const int64_t skipped = p.space == Space::arena ? p.place % kAlignment / item : 0;
  const Tensor memory = empty({(skipped + end) * item}, DType::uint8_, device);
  OSTINATO_CUDA(cuMemsetD8Async, reinterpret_cast<CUdeviceptr>(memory.bytes()), kByte,
                static_cast<size_t>(memory.numel()), cuda::current_handle(device.index));
  Tensor typed = shape_only(p.sizes, p.dtype);
  typed->storage = memory->storage;
  return as_view(typed, p.sizes, p.strides, skipped + p.start);
}

}  // namespace

void choose_products(const CompiledProgram& program, cuda::blas::ChoiceKeeper& keeper) {
  cuda::use_device(program.device.index);
  const cuda::blas::ChoiceScope choices(&keeper);
  for (const CompiledStep& step : program.steps) {
    if (!is_product(step)) continue;
    std::vector<Tensor> operands, results;
    for (int t : step.tensors) {
      operands.push_back(t < 0 ? Tensor() : stand_in(program.tensors[t], program.device));
    }
    for (int t : step.results) {
      results.push_back(stand_in(program.tensors[t], program.device));
    }
    run_call(step, operands, results, program.device);
  }
}

}  // namespace ostinato
