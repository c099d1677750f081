// Pointwise ops and their gradients on CUDA devices: the printed kernels of generate/cuda.py.
#pragma once
#include <span>

#include "cpu/pointwise.hpp"

namespace ostinato::cuda {

// As ostinato::run_pointwise. Operands that are numbers or 0-d CPU tensors go as parameters.
void run_pointwise(const PointwiseKernel& kernel, std::span<Tensor> results,
                   std::span<const Tensor> operands);

}  // namespace ostinato::cuda
