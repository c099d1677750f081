// Parameters of the kernels of draw.cu.
#pragma once
#include "cuda/kernels/failure.hpp"
#include "cuda/kernels/params.hpp"

namespace ostinato::cuda {

// `samples` choices for each of `rows` rows of n weights. `lanes` are random words; `room`
// (rows, n) is for running sums or keys. Rows with bad weights are reported.
struct DrawParams {
  const char* weights;
  DType weights_dtype;
  const uint32_t* lanes;
  double* room;
  int64_t* to;
  uint32_t rows, n, samples, needed;
  Failure* failure;
  uint32_t op;
};

}  // namespace ostinato::cuda
