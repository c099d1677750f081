// Instructions for tensor cores. The tests' stand-in for a GPU has a file of this name of its own
// (tests/cuda_on_cpu).
#pragma once
#include <cstdint>

// The head of a kernel whose blocks have THREADS threads; BLOCKS of them fit on a multiprocessor.
#define OSTINATO_GLOBAL_OF(THREADS, BLOCKS, NAME, PARAMS)       \
  extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) \
      NAME(const __grid_constant__ PARAMS p)

namespace ostinato::cuda {

// The nearest float of 10 bits after the point.
__device__ __forceinline__ float to_tf32(float f) {
  uint32_t bits;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(f));
  return __uint_as_float(bits);
}

// c += a b of a warp, (16, 8) by (8, 8); attention.cuh says which elements a lane has.
__device__ __forceinline__ void multiply_tf32(float* c, const float* a, const float* b) {
  asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(__float_as_uint(a[0])), "r"(__float_as_uint(a[1])), "r"(__float_as_uint(a[2])),
        "r"(__float_as_uint(a[3])), "r"(__float_as_uint(b[0])), "r"(__float_as_uint(b[1])));
}

// 2^x, to two of its last bits; zero where that is no normal number.
__device__ __forceinline__ float exp2_of(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// Two floats rounded to bfloat16, the first in the lower half.
__device__ __forceinline__ uint32_t to_bfloat16s(float first, float second) {
  uint32_t bits;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(bits) : "f"(second), "f"(first));
  return bits;
}

// c += a b of a warp, (16, 16) by (16, 8) of bfloat16; attention_bfloat16.cuh says which elements a
// lane has.
__device__ __forceinline__ void multiply_bfloat16(float* c, const uint32_t* a, uint32_t b0,
                                                  uint32_t b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
      "{%8,%9}, {%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

}  // namespace ostinato::cuda
