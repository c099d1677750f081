// Copies of elements whatever they mean: in any order, and transposed through shared memory.
#include "cuda/kernels/copy.hpp"
#include "cuda/kernels/pointwise.cuh"

namespace ostinato::cuda {
namespace {

// Reads along the axis on which the source is dense and writes along that of the target.
template <class T>
__device__ __forceinline__ void transpose(const TransposeParams& p) {
  __shared__ T tile[kTile][kTile + 1];  // the odd width keeps columns out of one bank
  int64_t from_base = 0, to_base = 0;
  uint32_t plane = blockIdx.z;
  for (int axis = 0; axis < p.axes; ++axis) {
    const uint32_t at = plane % p.sizes[axis];
    plane /= p.sizes[axis];
    from_base += at * p.from_strides[axis];
    to_base += at * p.to_strides[axis];
  }
  const uint32_t row = blockIdx.y * kTile, column = blockIdx.x * kTile;
  for (uint32_t i = threadIdx.y; i < kTile; i += kTileRows) {
    const uint32_t c = column + i, r = row + threadIdx.x;
    if (r < p.rows && c < p.columns) {
      tile[i][threadIdx.x] = *reinterpret_cast<const T*>(p.from + from_base +
                                                         r * int64_t{sizeof(T)} + c * p.from_step);
    }
  }
  __syncthreads();
  for (uint32_t i = threadIdx.y; i < kTile; i += kTileRows) {
    const uint32_t r = row + i, c = column + threadIdx.x;
    if (r < p.rows && c < p.columns) {
      *reinterpret_cast<T*>(p.to + to_base + r * p.to_step + c * int64_t{sizeof(T)}) =
          tile[threadIdx.x][i];
    }
  }
}

}  // namespace

#define OSTINATO_COPY(SIZE, TYPE)                       \
  OSTINATO_GLOBAL(copy_##SIZE, PointwiseParams) {       \
    pointwise<TYPE, TYPE>(p, [](TYPE x) { return x; }); \
  }                                                     \
  OSTINATO_GLOBAL(transpose_##SIZE, TransposeParams) { transpose<TYPE>(p); }
OSTINATO_COPY(1, uint8_t)
OSTINATO_COPY(2, int16_t)
OSTINATO_COPY(4, int32_t)
OSTINATO_COPY(8, int64_t)

// The elements of dense `from` one after the other to places of `to` that may coincide, where the
// last one stays.
OSTINATO_GLOBAL(store_in_order, StoreParams) {
  for (int64_t i = 0; i < p.count; ++i) {
    int64_t rest = i, offset = 0;
    for (int axis = 0; axis < p.axes; ++axis) {
      offset += rest % p.sizes[axis] * p.strides[axis];
      rest /= p.sizes[axis];
    }
    for (int b = 0; b < p.item; ++b) p.to[offset + b] = p.from[i * p.item + b];
  }
}

}  // namespace ostinato::cuda
