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

inline constexpr uint32_t kAddChunk = 16;    // sorted places that a thread adds up
inline constexpr uint32_t kAddColumns = 32;  // of a block that joins chunks
inline constexpr uint32_t kAddRows = kThreads / kAddColumns;

// Elements `numbers` of `from`, (outer, m, inner), are added to y (outer, n, inner) at the places
// that are sorted, equal ones in the order of their elements. A run of equal places that is cut by
// the ends of chunks leaves a sum in each chunk: in `tails` where it begins, in `heads` where it
// came from the chunk before; both are (outer, chunks, inner) of the type that is summed in.
// Where `is_vectorised`, kVector elements of `inner` go together.
struct AddParams {
  const uint32_t* places;
  const uint32_t* numbers;
  const char* from;
  char* to;
  char* heads;
  char* tails;
  DType from_dtype, to_dtype;
  bool is_vectorised;
  uint32_t outer, chunks, m, n, inner;
};

}  // namespace ostinato::cuda
