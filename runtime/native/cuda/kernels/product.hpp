// Parameters of the kernel of product.cu.
#pragma once
#include "cuda/kernels/params.hpp"

namespace ostinato::cuda {

// Element (i, j) of c, of all products in the order of `batch`, which has the strides of a and b;
// the strides of matrices are bytes.
struct ProductParams {
  const char* a;
  const char* b;
  char* c;
  DType a_dtype, b_dtype, c_dtype;
  uint32_t count;  // elements of c
  uint32_t m, n, k;
  int64_t a_row, a_column, b_row, b_column;
  Axes a_batch, b_batch;
};

}  // namespace ostinato::cuda
