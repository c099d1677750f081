#include "cpu/simd/rows.hpp"

#include <algorithm>

#include "cpu/simd/lanes.hpp"
#include "scalar_math.hpp"

namespace ostinato::OSTINATO_ISA {
namespace {

// The sum of f(j) for j < n in sixteen lanes. Blocks of fixed size become vectors.
template <class T, class F>
OSTINATO_INLINE T sum_of(int64_t n, F f) {
  Lanes<Sum, T> lanes;
  alignas(64) T block[kLanes];
  int64_t j = 0;
  for (; j + kLanes <= n; j += kLanes) {
    for (int k = 0; k < kLanes; ++k) block[k] = f(j + k);
    lanes.take(block);
  }
  for (int k = 0; j + k < n; ++k) block[k] = f(j + k);
  return lanes.finish(block, n - j);
}

template <class T>
void softmax(const T* __restrict x, T* __restrict y, int64_t n) {
  const T top = reduce_dense<Maximum>(x, n);
  for (int64_t j = 0; j < n; ++j) y[j] = scalar::exp(x[j] - top);
  const T total = reduce_dense<Sum>(static_cast<const T*>(y), n);
  for (int64_t j = 0; j < n; ++j) y[j] = y[j] / total;
}

template <class T>
OSTINATO_INLINE T log_of_sum(const T* x, int64_t n, T top) {
  return scalar::log(sum_of<T>(n, [=](int64_t j) { return scalar::exp(x[j] - top); }));
}

template <class T>
void log_softmax(const T* __restrict x, T* __restrict y, int64_t n) {
  const T top = reduce_dense<Maximum>(x, n);
  const T log_sum = log_of_sum(x, n, top);
  for (int64_t j = 0; j < n; ++j) y[j] = (x[j] - top) - log_sum;
}

template <class T>
OSTINATO_INLINE T mean_of(const T* x, int64_t n) {
  return reduce_dense<Sum>(x, n) / static_cast<T>(n);
}

template <class T>
OSTINATO_INLINE T squares_from(const T* x, int64_t n, T center) {
  return sum_of<T>(n, [=](int64_t j) {
    const T away = x[j] - center;
    return away * away;
  });
}

template <class T>
T variance(const T* x, int64_t n, T divisor) {
  return squares_from(x, n, mean_of(x, n)) / divisor;
}

template <class T>
OSTINATO_INLINE T inverse_root(T x) {
  return T{1} / std::sqrt(x);
}

template <class T>
void layer_norm(const T* __restrict x, const T* __restrict weight, const T* __restrict bias, T eps,
                T* __restrict y, int64_t n) {
  const T mean = mean_of(x, n);
  const T inverse = inverse_root(squares_from(x, n, mean) / static_cast<T>(n) + eps);
  if (weight != nullptr && bias != nullptr) {
    for (int64_t j = 0; j < n; ++j) y[j] = (x[j] - mean) * inverse * weight[j] + bias[j];
    return;
  }
  for (int64_t j = 0; j < n; ++j) y[j] = (x[j] - mean) * inverse;
  for (int64_t j = 0; j < n && weight != nullptr; ++j) y[j] *= weight[j];
  for (int64_t j = 0; j < n && bias != nullptr; ++j) y[j] += bias[j];
}

// With y the standardized row and d = g weight: adds g y to weight_g, leaves d in x_g and y in
// `scratch`, and returns the sum of d y.
template <class T>
OSTINATO_INLINE T weigh(const T* __restrict g, const T* __restrict weight, T* __restrict x_g,
                        T* __restrict weight_g, const T* __restrict y, int64_t n) {
  for (int64_t j = 0; j < n; ++j) weight_g[j] += g[j] * y[j];
  if (weight == nullptr) {
    std::copy(g, g + n, x_g);
  } else {
    for (int64_t j = 0; j < n; ++j) x_g[j] = g[j] * weight[j];
  }
  return sum_of<T>(n, [=](int64_t j) { return x_g[j] * y[j]; });
}

template <class T>
void layer_norm_backward(const T* __restrict g, const T* __restrict x, const T* __restrict weight,
                         T eps, T* __restrict x_g, T* __restrict weight_g, T* __restrict bias_g,
                         T* __restrict scratch, int64_t n) {
  const T mean = mean_of(x, n);
  const T inverse = inverse_root(squares_from(x, n, mean) / static_cast<T>(n) + eps);
  for (int64_t j = 0; j < n; ++j) scratch[j] = (x[j] - mean) * inverse;
  for (int64_t j = 0; j < n; ++j) bias_g[j] += g[j];
  const T along = weigh(g, weight, x_g, weight_g, scratch, n) / static_cast<T>(n);
  const T level = mean_of(static_cast<const T*>(x_g), n);
  for (int64_t j = 0; j < n; ++j) x_g[j] = ((x_g[j] - level) - scratch[j] * along) * inverse;
}

template <class T>
OSTINATO_INLINE T inverse_rms(const T* x, T eps, int64_t n) {
  const T squares = sum_of<T>(n, [=](int64_t j) { return x[j] * x[j]; });
  return inverse_root(squares / static_cast<T>(n) + eps);
}

template <class T>
void rms_norm(const T* __restrict x, const T* __restrict weight, T eps, T* __restrict y,
              int64_t n) {
  const T inverse = inverse_rms(x, eps, n);
  if (weight == nullptr) {
    for (int64_t j = 0; j < n; ++j) y[j] = x[j] * inverse;
  } else {
    for (int64_t j = 0; j < n; ++j) y[j] = x[j] * inverse * weight[j];
  }
}

template <class T>
void rms_norm_backward(const T* __restrict g, const T* __restrict x, const T* __restrict weight,
                       T eps, T* __restrict x_g, T* __restrict weight_g, T* __restrict scratch,
                       int64_t n) {
  const T inverse = inverse_rms(x, eps, n);
  for (int64_t j = 0; j < n; ++j) scratch[j] = x[j] * inverse;
  const T along = weigh(g, weight, x_g, weight_g, scratch, n) / static_cast<T>(n);
  for (int64_t j = 0; j < n; ++j) x_g[j] = (x_g[j] - scratch[j] * along) * inverse;
}

template <class T>
T cross_entropy(const T* x, int64_t target, T smoothing, int64_t n) {
  const T top = reduce_dense<Maximum>(x, n);
  const T log_sum = log_of_sum(x, n, top);
  const T loss = log_sum - (x[target] - top);
  if (smoothing == T{0}) return loss;
  const T away = sum_of<T>(n, [=](int64_t j) { return x[j] - top; }) / static_cast<T>(n);
  return loss * (T{1} - smoothing) + (log_sum - away) * smoothing;
}

template <class T>
void cross_entropy_backward(const T* __restrict x, int64_t target, T smoothing, T g,
                            T* __restrict x_g, int64_t n) {
  softmax(x, x_g, n);
  const T wanted = T{1} - smoothing;
  if (smoothing == T{0}) {
    const T at_target = (x_g[target] - wanted) * g;
    for (int64_t j = 0; j < n; ++j) x_g[j] *= g;
    x_g[target] = at_target;
    return;
  }
  const T each = smoothing / static_cast<T>(n);
  const T at_target = (x_g[target] - (wanted + each)) * g;
  for (int64_t j = 0; j < n; ++j) x_g[j] = (x_g[j] - each) * g;
  x_g[target] = at_target;
}

template <class T>
RowFns<T> all() {
  return {softmax<T>,           log_softmax<T>,         variance<T>,
          layer_norm<T>,        layer_norm_backward<T>, rms_norm<T>,
          rms_norm_backward<T>, cross_entropy<T>,       cross_entropy_backward<T>};
}

}  // namespace

void row_fns(RowFns<float>& fns) { fns = all<float>(); }
void row_fns(RowFns<double>& fns) { fns = all<double>(); }

}  // namespace ostinato::OSTINATO_ISA
