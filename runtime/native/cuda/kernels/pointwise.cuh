// The loop around the scalar expression of a pointwise kernel.
#pragma once
#include <utility>

#include "cuda/kernels/elements.cuh"
#include "cuda/kernels/indexing.cuh"

namespace ostinato::cuda {

// The offset of each of `kCount` arguments at element `index`.
template <int kCount>
__device__ __forceinline__ void find_offsets(const PointwiseParams& p, uint32_t index,
                                             int32_t* offsets) {
#pragma unroll
  for (int a = 0; a < kCount; ++a) offsets[a] = 0;
#pragma unroll 1
  for (int axis = 0; axis < p.axes - 1; ++axis) {
    const uint32_t outer = divide(index, p.sizes[axis]);
    const int32_t at = static_cast<int32_t>(index - outer * p.sizes[axis].size);
#pragma unroll
    for (int a = 0; a < kCount; ++a) offsets[a] += at * p.strides[axis][a];
    index = outer;
  }
#pragma unroll
  for (int a = 0; a < kCount; ++a) {
    offsets[a] += static_cast<int32_t>(index) * p.strides[p.axes - 1][a];
  }
}

template <class T>
__device__ __forceinline__ T value_of(const Argument& a) {
  if constexpr (sizeof(T) == 8) {
    return __builtin_bit_cast(T, a.bits);
  } else if constexpr (std::is_same_v<T, float>) {
    return __builtin_bit_cast(float, static_cast<uint32_t>(a.bits));
  } else {
    return static_cast<T>(a.bits);
  }
}

template <class T>
__device__ __forceinline__ T argument(const Argument& a, int32_t offset) {
  return a.is_value ? value_of<T>(a) : load<T>(a.memory + offset, a.dtype);
}

// `stride` is that of the innermost axis.
template <class T>
__device__ __forceinline__ void argument_vector(const Argument& a, int32_t offset, int32_t stride,
                                                T* x) {
  if (a.is_value || stride == 0) {
    const T v = argument<T>(a, offset);
#pragma unroll
    for (int k = 0; k < kVector; ++k) x[k] = v;
  } else {
    load_vector<T>(a.memory + offset, a.dtype, x);
  }
}

// kVector elements of each operand.
template <size_t I, class T>
struct Slot {
  T at[kVector];
};
template <class Indices, class... T>
struct Slots;
template <size_t... I, class... T>
struct Slots<std::index_sequence<I...>, T...> : Slot<I, T>... {
  template <size_t K, class U>
  __device__ __forceinline__ U* slot() {
    return static_cast<Slot<K, U>*>(this)->at;
  }
};

template <class... T>
struct Operands {};

// Puts f(operands...) at element `index`, or at the kVector elements from there.
template <class R, class F, class... T, size_t... I>
__device__ __forceinline__ void put_element(const PointwiseParams& p, uint32_t index, F f,
                                            Operands<T...>, std::index_sequence<I...>) {
  int32_t offsets[1 + sizeof...(T)];
  find_offsets<1 + sizeof...(T)>(p, index, offsets);
  const R y = f(argument<T>(p.arguments[1 + I], offsets[1 + I])...);
  store<R>(p.arguments[0].memory + offsets[0], p.arguments[0].dtype, y);
}

template <class R, class F, class... T, size_t... I>
__device__ __forceinline__ void put_vector(const PointwiseParams& p, uint32_t index, F f,
                                           Operands<T...>, std::index_sequence<I...>) {
  int32_t offsets[1 + sizeof...(T)];
  find_offsets<1 + sizeof...(T)>(p, index, offsets);
  Slots<std::index_sequence<I...>, T...> x;
  (argument_vector<T>(p.arguments[1 + I], offsets[1 + I], p.strides[0][1 + I],
                      x.template slot<I, T>()),
   ...);
  R y[kVector];
#pragma unroll
  for (int k = 0; k < kVector; ++k) y[k] = f(x.template slot<I, T>()[k]...);
  store_vector<R>(p.arguments[0].memory + offsets[0], p.arguments[0].dtype, y);
}

// The body of a kernel: each thread takes every gridDim * blockDim-th vector, then element.
template <class R, class... T, class F>
__device__ __forceinline__ void pointwise(const PointwiseParams& p, F f) {
  const uint32_t threads = gridDim.x * blockDim.x;
  const uint32_t self = blockIdx.x * blockDim.x + threadIdx.x;
  constexpr std::index_sequence_for<T...> each;
#pragma unroll 1
  for (uint32_t i = self; i < p.vectors; i += threads) {
    put_vector<R>(p, i * kVector, f, Operands<T...>(), each);
  }
#pragma unroll 1
  for (uint32_t i = p.vectors * kVector + self; i < p.count; i += threads) {
    put_element<R>(p, i, f, Operands<T...>(), each);
  }
}

}  // namespace ostinato::cuda
