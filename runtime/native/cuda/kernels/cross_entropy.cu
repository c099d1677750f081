// The cross-entropy loss of rows of class scores, and its gradient.
#include "cuda/kernels/failure.cuh"
#include "cuda/kernels/rows.cuh"

namespace ostinato::cuda {
namespace {

__device__ __forceinline__ int64_t target_of(const Dense& target, uint32_t row) {
  return load<int64_t>(target.memory + row * item_of(target.dtype), target.dtype);
}

// Whether the target names a class; one that does not is reported unless it is ignored.
__device__ __forceinline__ bool names_class(const CrossEntropyParams& p, const RowPlace& place,
                                            int64_t target) {
  if (target >= 0 && target < p.rows.n) return true;
  if (place.is_first() && target != p.ignored) report(p.failure, p.op, target, p.rows.n);
  return false;
}

template <class T, bool kHolds>
__device__ __forceinline__ void cross_entropy(const CrossEntropyParams& p) {
  const RowPlace place(p.rows);
  Row<T, kHolds> row(place, p.x);
  const T top = row.top(), smoothing = static_cast<T>(p.smoothing);
  const T log_sum = log(row.sum([=](T x) { return exp(x - top); }));
  T away = 0;
  if (smoothing != T(0)) away = row.sum([=](T x) { return x - top; }) / static_cast<T>(p.rows.n);
  if (!place.exists() || !place.is_first()) return;
  const int64_t target = target_of(p.target, place.row());
  T loss = 0;
  if (target != p.ignored && names_class(p, place, target)) {
    const int64_t at = static_cast<int64_t>(place.row()) * p.rows.n + target;
    loss = log_sum - (load<T>(p.x.memory + at * item_of(p.x.dtype), p.x.dtype) - top);
    if (smoothing != T(0)) loss = loss * (T(1) - smoothing) + (log_sum - away) * smoothing;
  }
  store(p.y.memory + place.row() * item_of(p.y.dtype), p.y.dtype, loss);
}

template <class T>
__device__ __forceinline__ T slope_of(const CrossEntropyParams& p, uint32_t row) {
  const T g = p.g.is_value ? static_cast<T>(__builtin_bit_cast(double, p.g.bits))
                           : load<T>(p.g.memory + row * p.g_step, p.g.dtype);
  return p.counted ? g / *reinterpret_cast<const T*>(p.counted) : g;
}

template <class T, bool kHolds>
__device__ __forceinline__ void cross_entropy_backward(const CrossEntropyParams& p) {
  const RowPlace place(p.rows);
  Row<T, kHolds> row(place, p.x);
  const T top = row.top();
  const T sum = row.sum([=](T x) { return exp(x - top); });
  if (!place.exists()) return;
  const int64_t target = target_of(p.target, place.row());
  const bool counts = target != p.ignored && names_class(p, place, target);
  const T g = counts ? slope_of<T>(p, place.row()) : T(0);
  const T scale = g / sum, smoothing = static_cast<T>(p.smoothing);
  const T each = smoothing / static_cast<T>(p.rows.n) * g;
  const T hit = (T(1) - smoothing) * g;
  row.chunks([&](uint32_t first, uint32_t count, const T* x) {
    T y[kVector];
#pragma unroll
    for (int k = 0; k < kVector; ++k) {
      y[k] = counts ? exp(x[k] - top) * scale - each : T(0);
      if (first + k == target) y[k] -= hit;
    }
    place.write(p.x_g, first, count, y);
  });
}

template <class T>
struct LossState {
  T loss = 0, counted = 0;
  __device__ void merge(const LossState& o) {
    loss += o.loss;
    counted += o.counted;
  }
};

// What this thread has of the rows; loads of `kPlain` targets, int64, wait for nothing.
template <class T, bool kPlain>
__device__ __forceinline__ LossState<T> add_rows(const LossParams& p) {
  LossState<T> state;
  const T* losses = reinterpret_cast<const T*>(p.losses.memory);
  const int64_t* targets = reinterpret_cast<const int64_t*>(p.target.memory);
#pragma unroll 8
  for (uint32_t i = threadIdx.x; i < p.rows; i += kThreads) {
    const int64_t target = kPlain ? targets[i] : target_of(p.target, i);
    if (losses) state.loss += losses[i];
    state.counted += target != p.ignored ? T(1) : T(0);
  }
  return state;
}

// One block. The result is the number of targets that count where there are no losses.
template <class T>
__device__ __forceinline__ void total_loss(const LossParams& p) {
  LossState<T> state =
      p.target.dtype == DType::int64_ ? add_rows<T, true>(p) : add_rows<T, false>(p);
  join_block(state);
  if (threadIdx.x != 0) return;
  const T y = !p.losses.memory ? state.counted : p.mean ? state.loss / state.counted : state.loss;
  store(p.y.memory, p.y.dtype, y);
}

}  // namespace

OSTINATO_ROWS(cross_entropy, CrossEntropyParams)
OSTINATO_ROWS(cross_entropy_backward, CrossEntropyParams)

OSTINATO_GLOBAL(total_loss_float32, LossParams) { total_loss<float>(p); }
OSTINATO_GLOBAL(total_loss_float64, LossParams) { total_loss<double>(p); }

}  // namespace ostinato::cuda
