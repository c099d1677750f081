// Parameters of the kernels of sort.cu and scan.cu.
#pragma once
#include "cuda/kernels/params.hpp"

namespace ostinato::cuda {

inline constexpr uint32_t kDigits = 256;     // values of the digit that a pass sorts by
inline constexpr uint32_t kSortTile = 2048;  // keys of a block

// One pass of a stable sort of (key, number) by the digit of the key at `shift`. Numbers are
// counted up from 0 where `numbers` is null. `table` (digits, blocks) has how many keys of each
// digit each block has and then where the first of them goes.
struct SortParams {
  const uint32_t* keys;
  const uint32_t* numbers;
  uint32_t* keys_to;
  uint32_t* numbers_to;
  uint32_t* table;
  uint32_t count, blocks, shift;
};

// Running sums along the axis of `n` of dense (outer, n, inner).
struct ScanParams {
  const char* from;
  char* to;
  DType from_dtype, to_dtype;
  uint32_t outer, n, inner;
};

}  // namespace ostinato::cuda
