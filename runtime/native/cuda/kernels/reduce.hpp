// Parameters of the kernels of reduce.cuh.
#pragma once
#include "cuda/kernels/params.hpp"

namespace ostinato::cuda {

inline constexpr uint32_t kReduceColumns = 32;  // of a block that reduces columns
inline constexpr uint32_t kReduceRows = kThreads / kReduceColumns;

// Each of `rows` results is what `n` elements reduce to: element j of result r lies at the sum of
// their offsets. With `splits` above 1 each block reduces `part` elements, and their states go to
// `states`, (rows, splits).
struct ReduceParams {
  const char* from;
  char* to;
  void* states;
  DType from_dtype;
  DType to_dtype;
  bool is_dense;   // elements lie side by side, in vectors
  bool root;       // the result is a root (std)
  uint32_t lanes;  // threads of a row: a power of two up to 32, or kThreads
  uint32_t rows;
  uint32_t n;
  uint32_t part;
  uint32_t splits;
  double divisor;  // of a mean or variance; 0 for none
  Axes kept;
  Axes reduced;
};

}  // namespace ostinato::cuda
