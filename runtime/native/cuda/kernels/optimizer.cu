// Steps of optimizers over many parameters at once; the arithmetic of cpu/simd/optimizer.cpp.
#include <cmath>

#include "cuda/kernels/elements.cuh"
#include "cuda/kernels/optimizer.hpp"

namespace ostinato::cuda {
namespace {

template <class T>
struct Sgd {
  static constexpr int kTensors = 2, kResults = 1;
  T decay, rate;
  __device__ explicit Sgd(const double* f)
      : decay(static_cast<T>(f[0])), rate(static_cast<T>(f[1])) {}
  static __device__ void count(double*, double, const double*) {}
  // x: param, grad
  __device__ void operator()(const T* x, T* y) const {
    const T grad = x[1] + x[0] * decay;
    y[0] = x[0] + grad * rate;
  }
};

template <class T, bool kNesterov>
struct Momentum {
  static constexpr int kTensors = 3, kResults = 2;
  T decay, rate, keep, share;
  __device__ explicit Momentum(const double* f)
      : decay(static_cast<T>(f[0])),
        rate(static_cast<T>(f[1])),
        keep(static_cast<T>(f[2])),
        share(static_cast<T>(f[3])) {}
  static __device__ void count(double* f, double step, const double* with_step) {
    f[3] = step <= 1.0 ? 1.0 : 1.0 - with_step[0];
  }
  // x: param, grad, buffer
  __device__ void operator()(const T* x, T* y) const {
    const T grad = x[1] + x[0] * decay;
    const T moved = x[2] * keep + grad * share;
    y[0] = x[0] + (kNesterov ? grad + moved * keep : moved) * rate;
    y[1] = moved;
  }
};

template <class T, bool kDecoupled>
struct Adam {
  static constexpr int kTensors = 4, kResults = 3;
  T decay, weight, beta2, rest2, size, root, eps;
  __device__ explicit Adam(const double* f)
      : decay(static_cast<T>(f[0])),
        weight(static_cast<T>(f[1])),
        beta2(static_cast<T>(f[2])),
        rest2(static_cast<T>(f[3])),
        size(static_cast<T>(f[4])),
        root(static_cast<T>(f[5])),
        eps(static_cast<T>(f[6])) {}
  static __device__ void count(double* f, double step, const double* with_step) {
    f[4] = -(with_step[0] / (1.0 - pow(with_step[1], step)));
    f[5] = sqrt(1.0 - pow(f[2], step));
  }
  // x: param, grad, mean, square
  __device__ void operator()(const T* x, T* y) const {
    const T given = x[0], old = x[2];
    const T param = kDecoupled ? given * decay : given;
    const T grad = kDecoupled ? x[1] : x[1] + given * decay;
    const bool near = fabs(weight) < T(0.5);
    const T mean = near ? old + weight * (grad - old) : grad - (grad - old) * (T(1) - weight);
    const T square = x[3] * beta2 + rest2 * grad * grad;
    y[0] = param + size * mean / (sqrt(square) / root + eps);
    y[1] = mean;
    y[2] = square;
  }
};

// The parameter whose blocks this one is among.
__device__ __forceinline__ uint32_t find_parameter(const StepParams& p) {
  uint32_t low = 0, high = p.parameters;
  while (high - low > 1) {
    const uint32_t middle = (low + high) / 2;
    if (p.first_block[middle] <= blockIdx.x) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return low;
}

template <class T, class Step>
__device__ __forceinline__ void run_step(const StepParams& p) {
  __shared__ double factors[kFactors];
  const uint32_t k = find_parameter(p);
  if (threadIdx.x == 0) {
    for (int i = 0; i < kFactors; ++i) factors[i] = p.factors[i];
    if (p.step[k]) Step::count(factors, load<double>(p.step[k], p.step_dtype), p.with_step);
  }
  __syncthreads();
  const Step step(factors);
  const uint32_t first = (blockIdx.x - p.first_block[k]) * kStepPart;
  const uint32_t last = min(p.count[k], first + kStepPart);
#pragma unroll 2
  for (uint32_t i = first + threadIdx.x; i < last; i += kThreads) {
    T x[Step::kTensors], y[Step::kResults];
#pragma unroll
    for (int t = 0; t < Step::kTensors; ++t) {
      x[t] = load<T>(p.from[k][t] + i * item_of(p.from_dtypes[t]), p.from_dtypes[t]);
    }
    step(x, y);
#pragma unroll
    for (int t = 0; t < Step::kResults; ++t) {
      store(p.to[k][t] + i * item_of(p.to_dtypes[t]), p.to_dtypes[t], y[t]);
    }
  }
}

}  // namespace

#define OSTINATO_STEP(NAME, TYPE, ...) \
  OSTINATO_GLOBAL(NAME, StepParams) { run_step<TYPE, __VA_ARGS__>(p); }
OSTINATO_STEP(sgd_float32, float, Sgd<float>)
OSTINATO_STEP(sgd_float64, double, Sgd<double>)
OSTINATO_STEP(momentum_float32, float, Momentum<float, false>)
OSTINATO_STEP(momentum_float64, double, Momentum<double, false>)
OSTINATO_STEP(nesterov_float32, float, Momentum<float, true>)
OSTINATO_STEP(nesterov_float64, double, Momentum<double, true>)
OSTINATO_STEP(adam_float32, float, Adam<float, false>)
OSTINATO_STEP(adam_float64, double, Adam<double, false>)
OSTINATO_STEP(adamw_float32, float, Adam<float, true>)
OSTINATO_STEP(adamw_float64, double, Adam<double, true>)

}  // namespace ostinato::cuda
