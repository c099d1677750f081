// Tensor cores on an ordinary processor: takes the place of
// runtime/native/cuda/kernels/tensor_core.cuh.
#pragma once
#include "cuda/kernels/target.cuh"

#define OSTINATO_GLOBAL_OF(THREADS, BLOCKS, NAME, PARAMS) OSTINATO_GLOBAL(NAME, PARAMS)

namespace ostinato::cuda {

// The nearest float of 10 bits after the point.
inline float to_tf32(float f) {
  const uint32_t bits = __builtin_bit_cast(uint32_t, f);
  const bool is_finite = (bits & 0x7f800000u) != 0x7f800000u;
  return is_finite ? __builtin_bit_cast(float, (bits + 0x1000u) & ~0x1fffu) : f;
}

// c += a b of a warp, (16, 8) by (8, 8), from the elements that PTX says the lanes have.
inline void multiply_tf32(float* c, const float* a, const float* b) {
  uint32_t own[6];
  for (uint32_t i = 0; i < 6; ++i) own[i] = __builtin_bit_cast(uint32_t, i < 4 ? a[i] : b[i - 4]);
  const uint32_t* words = cuda_on_cpu::exchange(own, 6);
  float left[16][8], right[8][8];
  for (uint32_t lane = 0; lane < 32; ++lane) {
    const uint32_t g = lane / 4, t = lane % 4;
    for (uint32_t i = 0; i < 6; ++i) {
      const float x = __builtin_bit_cast(float, words[32 * i + lane]);
      (i < 4 ? left[g + i % 2 * 8][t + i / 2 * 4] : right[t + (i - 4) * 4][g]) = x;
    }
  }
  const uint32_t g = cuda_on_cpu::lane() / 4, t = cuda_on_cpu::lane() % 4;
  for (uint32_t i = 0; i < 4; ++i) {
    for (uint32_t k = 0; k < 8; ++k) c[i] += left[g + i / 2 * 8][k] * right[k][2 * t + i % 2];
  }
}

}  // namespace ostinato::cuda
