// Parameters of the kernels of create.cu.
#pragma once
#include "cuda/kernels/params.hpp"

namespace ostinato::cuda {

struct IotaParams {
  char* to;
  DType to_dtype;
  uint32_t count;
  Argument start, step;
};

// `count` elements, `classes` for each index.
struct OneHotParams {
  const char* index;
  char* to;
  DType index_dtype, to_dtype;
  uint32_t count, classes;
};

// Dense matrices of which the elements up to the diagonal (or from it on, `upper`) stay.
struct TriangleParams {
  const char* from;
  char* to;
  uint32_t count, rows, columns;
  int64_t diagonal;
  bool upper;
};

}  // namespace ostinato::cuda
