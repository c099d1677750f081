// layer_norm and rms_norm of rows, and their gradients.
#include "cuda/kernels/rows.cuh"

namespace ostinato::cuda {
namespace {

template <class T>
struct Statistics {
  T mean, inverse;  // of the row; the inverse of its deviation
};

template <class T, bool kHolds>
__device__ __forceinline__ Statistics<T> centered(Row<T, kHolds>& row, T n, T eps) {
  const T mean = row.sum([](T x) { return x; }) / n;
  const T squares = row.sum([=](T x) { return (x - mean) * (x - mean); });
  return {mean, T(1) / sqrt(squares / n + eps)};
}

template <class T, bool kHolds>
__device__ __forceinline__ Statistics<T> around_zero(Row<T, kHolds>& row, T n, T eps) {
  const T squares = row.sum([](T x) { return x * x; });
  return {T(0), T(1) / sqrt(squares / n + eps)};
}

template <class T, bool kHolds>
__device__ __forceinline__ void normalize(const NormParams& p, const RowPlace& place,
                                          Row<T, kHolds>& row, Statistics<T> s) {
  row.chunks([&](uint32_t first, uint32_t count, const T* x) {
    T y[kVector], factor[kVector];
#pragma unroll
    for (int k = 0; k < kVector; ++k) y[k] = (x[k] - s.mean) * s.inverse;
    if (p.weight.memory) {
      place.read(p.weight, 0, first, count, factor);
#pragma unroll
      for (int k = 0; k < kVector; ++k) y[k] *= factor[k];
    }
    if (p.bias.memory) {
      place.read(p.bias, 0, first, count, factor);
#pragma unroll
      for (int k = 0; k < kVector; ++k) y[k] += factor[k];
    }
    place.write(p.y, first, count, y);
  });
}

template <class T, bool kHolds>
__device__ __forceinline__ void layer_norm(const NormParams& p) {
  const RowPlace place(p.rows);
  Row<T, kHolds> row(place, p.x);
  normalize(p, place, row, centered(row, static_cast<T>(p.rows.n), static_cast<T>(p.eps)));
}

template <class T, bool kHolds>
__device__ __forceinline__ void rms_norm(const NormParams& p) {
  const RowPlace place(p.rows);
  Row<T, kHolds> row(place, p.x);
  normalize(p, place, row, around_zero(row, static_cast<T>(p.rows.n), static_cast<T>(p.eps)));
}

template <class T>
struct SlopeState {
  T level = 0;  // the sum of g weight
  T along = 0;  // the sum of g weight y
  __device__ void merge(const SlopeState& o) {
    level += o.level;
    along += o.along;
  }
};

// g weight, as far as the chunk has elements.
template <class T>
__device__ __forceinline__ void weighted(const NormParams& p, const RowPlace& place, uint32_t first,
                                         uint32_t count, T* d) {
  place.read(p.g, place.row(), first, count, d);
  if (!p.weight.memory) return;
  T factor[kVector];
  place.read(p.weight, 0, first, count, factor);
#pragma unroll
  for (int k = 0; k < kVector; ++k) d[k] *= factor[k];
}

// The gradient by x, y being the standardised row: (d - mean(d) - y mean(d y)) times the inverse
// deviation, d = g weight; without the first mean where the row was not centered.
template <class T, bool kHolds>
__device__ __forceinline__ void put_gradient(const NormParams& p, const RowPlace& place,
                                             Row<T, kHolds>& row, Statistics<T> s,
                                             bool is_centered) {
  SlopeState<T> slopes;
  row.chunks([&](uint32_t first, uint32_t count, const T* x) {
    T d[kVector];
    weighted(p, place, first, count, d);
#pragma unroll
    for (uint32_t k = 0; k < kVector; ++k) {
      if (k >= count) break;
      slopes.level += d[k];
      slopes.along += d[k] * ((x[k] - s.mean) * s.inverse);
    }
  });
  slopes = joined(slopes, place.lanes());
  const T n = static_cast<T>(place.n());
  const T level = is_centered ? slopes.level / n : T(0), along = slopes.along / n;
  row.chunks([&](uint32_t first, uint32_t count, const T* x) {
    T d[kVector];
    weighted(p, place, first, count, d);
#pragma unroll
    for (int k = 0; k < kVector; ++k) {
      d[k] = ((d[k] - level) - (x[k] - s.mean) * s.inverse * along) * s.inverse;
    }
    place.write(p.x_g, first, count, d);
  });
  if (place.exists() && place.is_first()) {
    T* to = reinterpret_cast<T*>(p.statistics) + size_t{2} * place.row();
    to[0] = s.mean;
    to[1] = s.inverse;
  }
}

template <class T, bool kHolds>
__device__ __forceinline__ void layer_norm_backward(const NormParams& p) {
  const RowPlace place(p.rows);
  Row<T, kHolds> row(place, p.x);
  const auto s = centered(row, static_cast<T>(p.rows.n), static_cast<T>(p.eps));
  put_gradient(p, place, row, s, true);
}

template <class T, bool kHolds>
__device__ __forceinline__ void rms_norm_backward(const NormParams& p) {
  const RowPlace place(p.rows);
  Row<T, kHolds> row(place, p.x);
  const auto s = around_zero(row, static_cast<T>(p.rows.n), static_cast<T>(p.eps));
  put_gradient(p, place, row, s, false);
}

template <class T>
__device__ __forceinline__ void put_slope(const SlopeParams& p, const Dense& result, uint32_t part,
                                          uint32_t column, T sum) {
  if (p.splits > 1) {
    reinterpret_cast<T*>(p.sums)[(size_t{blockIdx.y} * 2 + part) * p.n + column] = sum;
  } else if (result.memory) {
    store(result.memory + column * item_of(result.dtype), result.dtype, sum);
  }
}

// Sums over rows of g y and of g: neighbouring threads have neighbouring columns.
template <class T>
__device__ __forceinline__ void norm_slopes(const SlopeParams& p) {
  __shared__ SlopeState<T> states[kSlopeRows][kSlopeColumns];
  const uint32_t column = blockIdx.x * kSlopeColumns + threadIdx.x;
  const uint32_t begin = blockIdx.y * p.part, end = min(p.rows, begin + p.part);
  SlopeState<T> state;
  if (column < p.n) {
    const int64_t g_item = item_of(p.g.dtype), x_item = item_of(p.x.dtype);
#pragma unroll 4
    for (uint32_t r = begin + threadIdx.y; r < end; r += kSlopeRows) {
      const int64_t at = static_cast<int64_t>(r) * p.n + column;
      const T* s = reinterpret_cast<const T*>(p.statistics) + size_t{2} * r;
      const T g = load<T>(p.g.memory + at * g_item, p.g.dtype);
      const T x = load<T>(p.x.memory + at * x_item, p.x.dtype);
      state.level += g;
      state.along += g * ((x - s[0]) * s[1]);
    }
  }
  states[threadIdx.y][threadIdx.x] = state;
  __syncthreads();
  if (threadIdx.y != 0 || column >= p.n) return;
  for (uint32_t y = 1; y < kSlopeRows; ++y) state.merge(states[y][threadIdx.x]);
  put_slope(p, p.weight_g, 0, column, state.along);
  put_slope(p, p.bias_g, 1, column, state.level);
}

// The second stage: a thread adds up the parts of a column, blockIdx.y says of which gradient.
template <class T>
__device__ __forceinline__ void norm_sums(const SlopeParams& p) {
  const uint32_t column = blockIdx.x * kThreads + threadIdx.x, part = blockIdx.y;
  const Dense& result = part == 0 ? p.weight_g : p.bias_g;
  if (column >= p.n || !result.memory) return;
  const T* from = reinterpret_cast<const T*>(p.sums) + size_t{part} * p.n + column;
  T sum = 0;
#pragma unroll 16
  for (uint32_t i = 0; i < p.splits; ++i) sum += from[size_t{i} * 2 * p.n];
  store(result.memory + column * item_of(result.dtype), result.dtype, sum);
}

}  // namespace

OSTINATO_ROWS(layer_norm, NormParams)
OSTINATO_ROWS(rms_norm, NormParams)
OSTINATO_ROWS(layer_norm_backward, NormParams)
OSTINATO_ROWS(rms_norm_backward, NormParams)

#define OSTINATO_SLOPES(NAME, TYPE)                                          \
  OSTINATO_GLOBAL(norm_slopes_##NAME, SlopeParams) { norm_slopes<TYPE>(p); } \
  OSTINATO_GLOBAL(norm_sums_##NAME, SlopeParams) { norm_sums<TYPE>(p); }
OSTINATO_SLOPES(float32, float)
OSTINATO_SLOPES(float64, double)

}  // namespace ostinato::cuda
