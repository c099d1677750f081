// Kernels over the rows of dense matrices: softmax, norms, cross-entropy and their gradients.
#pragma once
#include <cstdint>

namespace ostinato {

// T is float or double; n is the length of a row. Sums are in the order of simd/lanes.hpp.
template <class T>
struct RowFns {
  // y = exp(x - max x) / sum, and y = x - max x - log(sum).
  void (*softmax)(const T* x, T* y, int64_t n);
  void (*log_softmax)(const T* x, T* y, int64_t n);
  // The variance with the divisor `divisor`.
  T (*variance)(const T* x, int64_t n, T divisor);
  // y = (x - mean) / sqrt(variance + eps) * weight + bias; weight and bias may be null.
  void (*layer_norm)(const T* x, const T* weight, const T* bias, T eps, T* y, int64_t n);
  // x_g for the cotangent g of y; adds to weight_g and bias_g.
  void (*layer_norm_backward)(const T* g, const T* x, const T* weight, T eps, T* x_g, T* weight_g,
                              T* bias_g, int64_t n);
  void (*rms_norm)(const T* x, const T* weight, T eps, T* y, int64_t n);
  void (*rms_norm_backward)(const T* g, const T* x, const T* weight, T eps, T* x_g, T* weight_g,
                            int64_t n);
  // -log softmax at `target`, mixed with the mean over the classes by `smoothing`.
  T (*cross_entropy)(const T* x, int64_t target, T smoothing, int64_t n);
  // x_g = (softmax - wanted) g.
  void (*cross_entropy_backward)(const T* x, int64_t target, T smoothing, T g, T* x_g, int64_t n);
};

}  // namespace ostinato
