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

inline float exp2_of(float x) { return __builtin_exp2f(x); }

// Two floats rounded to bfloat16, the first in the lower half.
inline uint32_t to_bfloat16s(float first, float second) {
  return to_bfloat16(first).bits | uint32_t{to_bfloat16(second).bits} << 16;
}

// c += a b of a warp, (16, 16) by (16, 8) of bfloat16, from the elements that PTX says.
inline void multiply_bfloat16(float* c, const uint32_t* a, uint32_t b0, uint32_t b1) {
  const uint32_t own[6] = {a[0], a[1], a[2], a[3], b0, b1};
  const uint32_t* words = cuda_on_cpu::exchange(own, 6);
  float left[16][16], right[16][8];
  for (uint32_t lane = 0; lane < 32; ++lane) {
    const uint32_t g = lane / 4, t = lane % 4;
    for (uint32_t i = 0; i < 12; ++i) {
      const uint32_t word = words[32 * (i / 2) + lane], k = 2 * t + i % 2;
      const float x = to_float(BFloat16{static_cast<uint16_t>(i % 2 ? word >> 16 : word)});
      (i < 8 ? left[g + i / 2 % 2 * 8][k + i / 4 * 8] : right[k + (i - 8) / 2 * 8][g]) = x;
    }
  }
  const uint32_t g = cuda_on_cpu::lane() / 4, t = cuda_on_cpu::lane() % 4;
  for (uint32_t i = 0; i < 4; ++i) {
    for (uint32_t k = 0; k < 16; ++k) c[i] += left[g + i / 2 * 8][k] * right[k][2 * t + i % 2];
  }
}

}  // namespace ostinato::cuda
