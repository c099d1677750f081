// Parameters of the kernels of index.cu.
#pragma once
#include "cuda/kernels/failure.hpp"
#include "cuda/kernels/params.hpp"

namespace ostinato::cuda {

// An index that is out of range is reported as one of `op`, its id plus one.
struct IndexCheck {
  Failure* failure;
  uint32_t op;
};

// Words of `to` (outer, m, inner) from those of `from` (outer, n, inner) at `index` (m).
struct SelectParams {
  const char* from;
  char* to;
  const char* index;
  DType index_dtype;
  uint32_t count, m, n, inner;
  IndexCheck check;
};

// Element i of `to` is that of `from` at its offset and `step` times the index. The axes are those
// of the index; in those of `from` the stride of the indexed axis is 0.
struct GatherParams {
  const char* from;
  const char* index;
  char* to;
  DType index_dtype;
  uint32_t count, n;
  int64_t step;
  Axes from_axes, index_axes, to_axes;
  IndexCheck check;
};

// The places (uint32) that elements of a source are added at, in the order of the elements; of
// `places` in all, `nowhere` for one out of range. An index tells where along an axis of `n`
// places that are `step` apart; `base` has the place for index 0.
struct PlacesParams {
  const char* index;
  uint32_t* to;
  DType index_dtype;
  uint32_t count, n, step, nowhere;
  Axes index_axes, base;  // strides of the latter are places
  IndexCheck check;
};

// Elements `numbers` of `from`, (outer, m, inner), are added to y (outer, n, inner) at the places
// that are sorted, equal ones in the order of their elements.
struct AddParams {
  const uint32_t* places;
  const uint32_t* numbers;
  const char* from;
  char* to;
  DType from_dtype, to_dtype;
  uint32_t count, m, n, inner;
};

}  // namespace ostinato::cuda
