// The words of CUDA C++ for an ordinary compiler, so that tests can run kernels where no GPU is. It
// takes the place of runtime/native/cuda/kernels/target.cuh.
#pragma once
#include <math.h>  // which has the overloads for float outside of std, as CUDA does

#include <algorithm>
#include <cstdint>

#include "block.hpp"
#include "core/dtype.hpp"
#include "cuda/kernels/params.hpp"

#define __device__
#define __forceinline__ inline
#define __shared__ static
#define OSTINATO_NOINLINE

#define OSTINATO_GLOBAL(NAME, PARAMS)                                    \
  static void NAME(const PARAMS& p);                                     \
  static const ::ostinato::cuda_on_cpu::Register register_##NAME{        \
      #NAME, [](void** a) { NAME(*static_cast<const PARAMS*>(a[0])); }}; \
  static void NAME(const PARAMS& p)

namespace ostinato::cuda {

using cuda_on_cpu::blockDim;
using cuda_on_cpu::blockIdx;
using cuda_on_cpu::gridDim;
using cuda_on_cpu::threadIdx;
using std::min;

inline float half_to_float(uint16_t bits) { return to_float(Half{bits}); }
inline uint16_t float_to_half(float f) { return to_half(f).bits; }
inline uint16_t float_to_bfloat16(float f) { return to_bfloat16(f).bits; }

inline void __syncthreads() { cuda_on_cpu::wait_for_block(); }
inline void __syncwarp() { cuda_on_cpu::wait_for_warp(); }

// A lane out of range keeps its own word.
inline uint32_t __shfl_sync(uint32_t, uint32_t word, uint32_t lane) {
  return cuda_on_cpu::exchange(word)[lane % 32];
}
inline uint32_t __shfl_down_sync(uint32_t, uint32_t word, uint32_t delta) {
  const uint32_t lane = cuda_on_cpu::lane() + delta;
  const uint32_t* words = cuda_on_cpu::exchange(word);
  return lane < 32 ? words[lane] : word;
}
inline uint32_t __shfl_up_sync(uint32_t, uint32_t word, uint32_t delta) {
  const uint32_t lane = cuda_on_cpu::lane() - delta;
  const uint32_t* words = cuda_on_cpu::exchange(word);
  return lane < 32 ? words[lane] : word;
}
inline uint32_t __match_any_sync(uint32_t, uint32_t word) {
  const uint32_t* words = cuda_on_cpu::exchange(word);
  uint32_t alike = 0;
  for (uint32_t i = 0; i < 32; ++i) alike |= uint32_t{words[i] == word} << i;
  return alike;
}

inline int __popc(uint32_t v) { return __builtin_popcount(v); }
inline uint32_t __umulhi(uint32_t a, uint32_t b) {
  return static_cast<uint32_t>(uint64_t{a} * b >> 32);
}

// Threads of a block take turns, so plain reads and writes are atomic.
inline uint32_t atomicAdd(uint32_t* p, uint32_t v) {
  const uint32_t before = *p;
  *p += v;
  return before;
}
inline uint32_t atomicCAS(uint32_t* p, uint32_t expected, uint32_t desired) {
  const uint32_t before = *p;
  if (before == expected) *p = desired;
  return before;
}

}  // namespace ostinato::cuda
