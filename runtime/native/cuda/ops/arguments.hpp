// From tensors to parameters of kernels.
#pragma once
#include "core/tensor.hpp"
#include "cuda/context.hpp"
#include "cuda/kernels/params.hpp"
#include "cuda/launch.hpp"

namespace ostinato::cuda {

// Throws Error (shape) for 2^31 elements or more, which kernels do not count.
void check_size(const char* op, int64_t elements);

// A CPU tensor of one element as a value of `wanted`, other memory as it is.
Argument argument_of(const Tensor& t, DType wanted);

// Kernels by the size of an element, 1, 2, 4, 8 (and 16) bytes: the index of their arrays.
inline int by_size(size_t item) { return __builtin_ctzll(item); }

// Blocks for `work` threads; what is more than a GPU has at once is a loop in the kernel.
inline Grid grid_for(int64_t work, int device) {
  constexpr int64_t kEach = 16;  // blocks of a multiprocessor
  const int64_t most = properties(device).multiprocessors * kEach;
  const int64_t blocks = (work + kThreads - 1) / kThreads;
  return {static_cast<uint32_t>(blocks < most ? blocks : most)};
}

inline char* memory_of(const Tensor& t) { return reinterpret_cast<char*>(t.bytes()); }

}  // namespace ostinato::cuda
