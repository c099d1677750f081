// Matrix products of integers, which wrap: a thread an element.
#include "cuda/kernels/elements.cuh"
#include "cuda/kernels/indexing.cuh"
#include "cuda/kernels/product.hpp"

namespace ostinato::cuda {

OSTINATO_GLOBAL(product_int64, ProductParams) {
  const uint32_t index = blockIdx.x * kThreads + threadIdx.x;
  if (index >= p.count) return;
  const uint32_t column = index % p.n, row = index / p.n % p.m, batch = index / p.n / p.m;
  const char* a = p.a + offset_of(p.a_batch, batch) + row * p.a_row;
  const char* b = p.b + offset_of(p.b_batch, batch) + column * p.b_column;
  uint64_t sum = 0;
  for (uint32_t i = 0; i < p.k; ++i, a += p.a_column, b += p.b_row) {
    sum += static_cast<uint64_t>(load<int64_t>(a, p.a_dtype)) *
           static_cast<uint64_t>(load<int64_t>(b, p.b_dtype));
  }
  store(p.c + index * item_of(p.c_dtype), p.c_dtype, static_cast<int64_t>(sum));
}

}  // namespace ostinato::cuda
