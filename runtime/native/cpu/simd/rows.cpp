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

// y = exp(x - top); returns the sum of y.
template <class T>
OSTINATO_INLINE T exponentials(const T* __restrict x, T top, T* __restrict y, int64_t n) {
  return sum_of<T>(n, [=](int64_t j) {
    y[j] = scalar::exp(x[j] - top);
    return y[j];
  });
}

template <class T>
void softmax(const T* __restrict x, T* __restrict y, int64_t n) {
  const T scale = T{1} / exponentials(x, reduce_dense<Maximum>(x, n), y, n);
  for (int64_t j = 0; j < n; ++j) y[j] *= scale;
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

template <class T>
struct Slopes {
  T level;  // the mean of g weight
  T along;  // the mean of g weight y
};

// With y(j) the standardized row: adds g y to weight_g and g to bias_g (unless that is null), and
// returns what the gradient of the row needs.
template <class T, class Y>
OSTINATO_INLINE Slopes<T> add_slopes(const T* __restrict g, const T* __restrict weight,
                                     T* __restrict weight_g, T* __restrict bias_g, int64_t n, Y y) {
  Lanes<Sum, T> level, along;
  alignas(64) T d[kLanes], dy[kLanes];
  const auto take = [&](int64_t j, int k) {
    const T standard = y(j + k), slope = g[j + k];
    weight_g[j + k] += slope * standard;
    d[k] = weight == nullptr ? slope : slope * weight[j + k];
    dy[k] = d[k] * standard;
  };
  int64_t j = 0;
  for (; j + kLanes <= n; j += kLanes) {
    for (int k = 0; k < kLanes; ++k) take(j, k);
    level.take(d);
    along.take(dy);
  }
  for (int k = 0; j + k < n; ++k) take(j, k);
  for (int64_t i = 0; i < n && bias_g != nullptr; ++i) bias_g[i] += g[i];
  const T count = static_cast<T>(n);
  return {level.finish(d, n - j) / count, along.finish(dy, n - j) / count};
}

template <class T>
void layer_norm_backward(const T* __restrict g, const T* __restrict x, const T* __restrict weight,
                         T eps, T* __restrict x_g, T* __restrict weight_g, T* __restrict bias_g,
                         int64_t n) {
  const T mean = mean_of(x, n);
  const T inverse = inverse_root(squares_from(x, n, mean) / static_cast<T>(n) + eps);
  const auto y = [=](int64_t j) { return (x[j] - mean) * inverse; };
  const auto [level, along] = add_slopes(g, weight, weight_g, bias_g, n, y);
  if (weight == nullptr) {
    for (int64_t j = 0; j < n; ++j) x_g[j] = ((g[j] - level) - y(j) * along) * inverse;
  } else {
    for (int64_t j = 0; j < n; ++j) x_g[j] = ((g[j] * weight[j] - level) - y(j) * along) * inverse;
  }
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
                       T eps, T* __restrict x_g, T* __restrict weight_g, int64_t n) {
  const T inverse = inverse_rms(x, eps, n);
  const auto y = [=](int64_t j) { return x[j] * inverse; };
  T* const no_bias = nullptr;
  const T along = add_slopes(g, weight, weight_g, no_bias, n, y).along;
  if (weight == nullptr) {
    for (int64_t j = 0; j < n; ++j) x_g[j] = (g[j] - y(j) * along) * inverse;
  } else {
    for (int64_t j = 0; j < n; ++j) x_g[j] = (g[j] * weight[j] - y(j) * along) * inverse;
  }
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
  const T scale = g / exponentials(x, reduce_dense<Maximum>(x, n), x_g, n);
  const T each = smoothing / static_cast<T>(n) * g;
  const T at_target = (x_g[target] * scale - each) - (T{1} - smoothing) * g;
  for (int64_t j = 0; j < n; ++j) x_g[j] = x_g[j] * scale - each;
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
