// Parameters of the kernels of order.cu.
#pragma once
#include "cuda/kernels/params.hpp"

namespace ostinato::cuda {

// The first k, in order, of the n elements along the middle axis of dense (outer, n, inner): their
// values, of the same dtype, and places go to (outer, k, inner).
struct OrderParams {
  const char* from;
  char* values;
  int64_t* index;
  DType dtype;
  uint32_t lines, n, inner, k;
};

}  // namespace ostinato::cuda
