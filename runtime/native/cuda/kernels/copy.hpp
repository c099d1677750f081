// Parameters of the kernels of copy.cu.
#pragma once
#include "cuda/kernels/params.hpp"

namespace ostinato::cuda {

inline constexpr uint32_t kTile = 32;     // rows and columns of a transposed tile
inline constexpr uint32_t kTileRows = 8;  // of threads: kTile * kTileRows threads a block

// Planes of rows * columns: `to` is dense along the columns, `from` along the rows; the other
// strides are bytes. `sizes` are those of the axes that planes are counted along, innermost first.
struct TransposeParams {
  const char* from;
  char* to;
  uint32_t rows;
  uint32_t columns;
  int64_t from_step;
  int64_t to_step;
  int32_t axes;
  uint32_t sizes[kMostAxes];
  int64_t from_strides[kMostAxes];
  int64_t to_strides[kMostAxes];
};

struct StoreParams {
  const char* from;
  char* to;
  int64_t count;
  int32_t item;
  int32_t axes;
  int64_t sizes[2 * kMostAxes];    // innermost first
  int64_t strides[2 * kMostAxes];  // bytes
};

}  // namespace ostinato::cuda
