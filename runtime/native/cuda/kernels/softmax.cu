// softmax and log_softmax of rows.
#include "cuda/kernels/rows.cuh"

namespace ostinato::cuda {
namespace {

template <class T, bool kHolds>
__device__ __forceinline__ void softmax(const SoftmaxParams& p) {
  const RowPlace place(p.rows);
  Row<T, kHolds> row(place, p.x);
  const T top = row.top();
  const T scale = T(1) / row.sum([=](T x) { return exp(x - top); });
  row.chunks([&](uint32_t first, uint32_t count, const T* x) {
    T y[kVector];
#pragma unroll
    for (int k = 0; k < kVector; ++k) y[k] = exp(x[k] - top) * scale;
    place.write(p.y, first, count, y);
  });
}

template <class T, bool kHolds>
__device__ __forceinline__ void log_softmax(const SoftmaxParams& p) {
  const RowPlace place(p.rows);
  Row<T, kHolds> row(place, p.x);
  const T top = row.top();
  const T log_sum = log(row.sum([=](T x) { return exp(x - top); }));
  row.chunks([&](uint32_t first, uint32_t count, const T* x) {
    T y[kVector];
#pragma unroll
    for (int k = 0; k < kVector; ++k) y[k] = (x[k] - top) - log_sum;
    place.write(p.y, first, count, y);
  });
}

}  // namespace

OSTINATO_ROWS(softmax, SoftmaxParams)
OSTINATO_ROWS(log_softmax, SoftmaxParams)

}  // namespace ostinato::cuda
