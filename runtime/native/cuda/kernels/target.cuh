// The instructions of a GPU that C++ has no words for. The tests' stand-in for a GPU has a file of
// this name of its own (tests/cuda_on_cpu).
#pragma once
#include <cstdint>

#include "cuda/kernels/params.hpp"

// The head of kernel NAME, found by that name, whose blocks have kThreads threads; its one
// parameter `p` is a PARAMS.
#define OSTINATO_GLOBAL(NAME, PARAMS) \
  extern "C" __global__ void __launch_bounds__(kThreads) NAME(const __grid_constant__ PARAMS p)
#define OSTINATO_NOINLINE __noinline__

namespace ostinato::cuda {

__device__ __forceinline__ float half_to_float(uint16_t bits) {
  float f;
  asm("cvt.f32.f16 %0, %1;" : "=f"(f) : "h"(bits));
  return f;
}

__device__ __forceinline__ uint16_t float_to_half(float f) {
  uint16_t bits;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(f));
  return bits;
}

__device__ __forceinline__ uint16_t float_to_bfloat16(float f) {
  uint16_t bits;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(f));
  return bits;
}

}  // namespace ostinato::cuda
