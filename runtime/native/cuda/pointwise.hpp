// Pointwise ops and their gradients on CUDA devices: the printed kernels of generate/cuda.py.
#pragma once
#include <span>

#include "cpu/pointwise.hpp"

namespace ostinato::cuda {

class KernelName;

// As ostinato::run_pointwise. Operands that are numbers or 0-d CPU tensors go as parameters.
void run_pointwise(const PointwiseKernel& kernel, std::span<Tensor> results,
                   std::span<const Tensor> operands);

// One argument of a loop: the dtype as which its memory is read or written, and the one that the
// kernel computes it in. CPU tensors of one element go as values.
struct LoopArgument {
  const Tensor* tensor;
  DType stored;
  DType wanted;
};

// Runs a kernel of PointwiseParams over the elements of the first argument, its result.
void run_loop(KernelName& kernel, std::span<const LoopArgument> arguments);

// The kernel of the table's entry `number`; in cuda_pointwise.cpp, which is printed.
KernelName& pointwise_kernel(uint16_t number);

}  // namespace ostinato::cuda
