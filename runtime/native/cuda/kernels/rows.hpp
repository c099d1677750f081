// Parameters of the kernels over dense rows.
#pragma once
#include "cuda/kernels/failure.hpp"
#include "cuda/kernels/params.hpp"

namespace ostinato::cuda {

inline constexpr uint32_t kHeld = 4;  // vectors of a row that a thread keeps in registers

// Dense elements of one dtype; null where an operand is absent.
struct Dense {
  char* memory;
  DType dtype;
};

// `rows` rows of `n`, each worked on by `lanes` threads: a warp or a block. Where `is_vectorised`,
// rows begin aligned everywhere and n is a multiple of kVector.
struct Rows {
  uint32_t rows, n, lanes;
  bool is_vectorised;
};

struct SoftmaxParams {
  Rows rows;
  Dense x, y;
};

// Of layer_norm and rms_norm, and of their gradients by x; these also leave the mean and the
// inverse deviation of each row in `statistics`, (rows, 2) of the type that is computed in.
struct NormParams {
  Rows rows;
  Dense x, weight, bias, y;
  Dense g, x_g;
  char* statistics;
  double eps;
};

inline constexpr uint32_t kSlopeColumns = 32;  // of a block
inline constexpr uint32_t kSlopeRows = kThreads / kSlopeColumns;

// Gradients of weight and bias: blocks sum `part` rows each to `sums`, (splits, 2, n), or where
// there is one split to the results.
struct SlopeParams {
  uint32_t rows, n, part, splits;
  Dense g, x, weight_g, bias_g;
  const char* statistics;
  char* sums;
};

// The row's target, an integer of `target`, counts unless it is `ignored`. The loss of each row
// goes to y. In the gradient g is for all rows or, where `g_step` is not 0, for each row, and it is
// divided by `counted`, one number, unless that is null.
struct CrossEntropyParams {
  Rows rows;
  Dense x, target, y;
  int64_t ignored;
  double smoothing;
  Argument g;
  int64_t g_step;
  const char* counted;
  Dense x_g;
  Failure* failure;
  uint32_t op;  // as `failure` has it
};

// The sum of losses, over the number of targets that count for the mean; or that number alone.
struct LossParams {
  uint32_t rows;
  Dense losses, target, y;
  int64_t ignored;
  bool mean;
};

}  // namespace ostinato::cuda
