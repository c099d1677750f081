#include "cpu/simd/optimizer.hpp"

#include <cmath>

namespace ostinato::OSTINATO_ISA {
namespace {

template <class T>
T factor(const char* at) {
  return static_cast<T>(*reinterpret_cast<const double*>(at));
}

// f(elements of argument k...) for each element; `dense` where all of them are side by side.
template <class T, int kTensors, class F>
void each(char* const* ptrs, const int64_t* strides, int64_t n, F f) {
  bool dense = true;
  for (int k = 0; k < kTensors; ++k) dense &= strides[k] == static_cast<int64_t>(sizeof(T));
  if (dense) {
    T* at[kTensors];
    for (int k = 0; k < kTensors; ++k) at[k] = reinterpret_cast<T*>(ptrs[k]);
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) f([&](int k) -> T& { return at[k][i]; });
    return;
  }
  for (int64_t i = 0; i < n; ++i) {
    f([&](int k) -> T& { return *reinterpret_cast<T*>(ptrs[k] + i * strides[k]); });
  }
}

template <class T>
void sgd(char* const* ptrs, const int64_t* strides, int64_t n) {
  const T decay = factor<T>(ptrs[3]), rate = factor<T>(ptrs[4]);
  each<T, 3>(ptrs, strides, n, [=](auto at) __attribute__((always_inline)) {
    const T param = at(1), grad = at(2) + param * decay;
    at(0) = param + grad * rate;
  });
}

template <class T, bool nesterov>
void momentum(char* const* ptrs, const int64_t* strides, int64_t n) {
  const T decay = factor<T>(ptrs[5]), rate = factor<T>(ptrs[6]);
  const T keep = factor<T>(ptrs[7]), share = factor<T>(ptrs[8]);
  each<T, 5>(ptrs, strides, n, [=](auto at) __attribute__((always_inline)) {
    const T param = at(2), grad = at(3) + param * decay;
    const T moved = at(4) * keep + grad * share;
    const T direction = nesterov ? grad + moved * keep : moved;
    at(0) = param + direction * rate;
    at(1) = moved;
  });
}

template <class T, bool decoupled>
void adam(char* const* ptrs, const int64_t* strides, int64_t n) {
  const T decay = factor<T>(ptrs[7]), weight = factor<T>(ptrs[8]), beta2 = factor<T>(ptrs[9]);
  const T rest2 = factor<T>(ptrs[10]), size = factor<T>(ptrs[11]), root = factor<T>(ptrs[12]);
  const T eps = factor<T>(ptrs[13]);
  const bool near = std::abs(weight) < T(0.5);
  each<T, 7>(ptrs, strides, n, [=](auto at) __attribute__((always_inline)) {
    const T given = at(3), old = at(5);
    const T param = decoupled ? given * decay : given;
    const T grad = decoupled ? at(4) : at(4) + given * decay;
    const T mean = near ? old + weight * (grad - old) : grad - (grad - old) * (T(1) - weight);
    const T square = at(6) * beta2 + rest2 * grad * grad;
    at(0) = param + size * mean / (std::sqrt(square) / root + eps);
    at(1) = mean;
    at(2) = square;
  });
}

template <class T>
InnerFn step_of(OptimizerStep step) {
  switch (step) {
    case OptimizerStep::sgd:
      return sgd<T>;
    case OptimizerStep::momentum:
      return momentum<T, false>;
    case OptimizerStep::nesterov:
      return momentum<T, true>;
    case OptimizerStep::adam:
      return adam<T, false>;
    case OptimizerStep::adamw:
      return adam<T, true>;
  }
  __builtin_unreachable();
}

}  // namespace

InnerFn optimizer_step(OptimizerStep step, DType dtype) {
  return dtype == DType::float64_ ? step_of<double>(step) : step_of<float>(step);
}

}  // namespace ostinato::OSTINATO_ISA
