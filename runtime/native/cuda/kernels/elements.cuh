// Elements of memory whose dtype is known at run time: every thread of a kernel takes the same
// branch, so asking costs little, and one kernel serves all dtypes.
#pragma once
#include <bit>
#include <type_traits>

#include "core/dtype.hpp"
#include "cuda/kernels/params.hpp"
#include "cuda/kernels/target.cuh"

namespace ostinato::cuda {

template <class T>
inline constexpr DType dtype_of = std::is_same_v<T, bool>       ? DType::bool_
                                  : std::is_same_v<T, float>    ? DType::float32_
                                  : std::is_same_v<T, double>   ? DType::float64_
                                  : std::is_same_v<T, Half>     ? DType::float16_
                                  : std::is_same_v<T, BFloat16> ? DType::bfloat16_
                                  : std::is_same_v<T, int64_t>  ? DType::int64_
                                  : std::is_same_v<T, int32_t>  ? DType::int32_
                                  : std::is_same_v<T, int16_t>  ? DType::int16_
                                                                : DType::uint8_;

// size_of without its table, which a thread would write to its stack first: the logarithms of the
// sizes are the digits of a number.
constexpr uint32_t log_item_of(DType dtype) {
  return static_cast<uint32_t>(uint64_t{0x3211321000} >> 4 * static_cast<int>(dtype)) & 3;
}
constexpr bool has_all_sizes() {
  bool same = true;
  for (int t = 0; t <= static_cast<int>(DType::float64_); ++t) {
    same &= size_t{1} << log_item_of(static_cast<DType>(t)) == size_of(static_cast<DType>(t));
  }
  return same;
}
static_assert(has_all_sizes());

__device__ __forceinline__ int64_t item_of(DType dtype) { return int64_t{1} << log_item_of(dtype); }

// A float as an integer, rounded toward zero; what does not fit is the smallest one, as on x86.
template <class To, class From>
__device__ __forceinline__ To truncated(From v) {
  constexpr To smallest = std::numeric_limits<To>::min();
  return v > static_cast<From>(smallest) && v < -static_cast<From>(smallest) ? static_cast<To>(v)
                                                                             : smallest;
}

// As the converters of cpu/simd/convert.cpp.
template <class To, class From>
__device__ __forceinline__ To convert(From v) {
  if constexpr (std::is_same_v<To, From>) {
    return v;
  } else if constexpr (std::is_same_v<From, Half>) {
    return convert<To>(half_to_float(v.bits));
  } else if constexpr (std::is_same_v<From, BFloat16>) {
    return convert<To>(__builtin_bit_cast(float, static_cast<uint32_t>(v.bits) << 16));
  } else if constexpr (std::is_same_v<To, Half>) {
    return Half{float_to_half(static_cast<float>(v))};
  } else if constexpr (std::is_same_v<To, BFloat16>) {
    return BFloat16{float_to_bfloat16(static_cast<float>(v))};
  } else if constexpr (std::is_same_v<To, bool>) {
    return v != From{};
  } else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
    return static_cast<To>(truncated<std::conditional_t<sizeof(To) < 4, int32_t, To>>(v));
  } else {
    return static_cast<To>(v);
  }
}

template <class T>
__device__ __forceinline__ const T& element(const void* p) {
  return *static_cast<const T*>(p);
}

template <class T>
__device__ OSTINATO_NOINLINE T load_rare(const void* p, DType dtype) {
  switch (dtype) {
    case DType::bool_:
      return convert<T>(element<uint8_t>(p) != 0);
    case DType::uint8_:
      return convert<T>(element<uint8_t>(p));
    case DType::int8_:
      return convert<T>(element<int8_t>(p));
    case DType::int16_:
      return convert<T>(element<int16_t>(p));
    case DType::int32_:
      return convert<T>(element<int32_t>(p));
    case DType::int64_:
      return convert<T>(element<int64_t>(p));
    case DType::float16_:
      return convert<T>(element<Half>(p));
    case DType::bfloat16_:
      return convert<T>(element<BFloat16>(p));
    case DType::float32_:
      return convert<T>(element<float>(p));
    default:
      return convert<T>(element<double>(p));
  }
}

template <class T>
__device__ OSTINATO_NOINLINE void store_rare(void* p, DType dtype, T v) {
  switch (dtype) {
    case DType::bool_:
      *static_cast<bool*>(p) = convert<bool>(v);
      return;
    case DType::uint8_:
      *static_cast<uint8_t*>(p) = convert<uint8_t>(v);
      return;
    case DType::int8_:
      *static_cast<int8_t*>(p) = convert<int8_t>(v);
      return;
    case DType::int16_:
      *static_cast<int16_t*>(p) = convert<int16_t>(v);
      return;
    case DType::int32_:
      *static_cast<int32_t*>(p) = convert<int32_t>(v);
      return;
    case DType::int64_:
      *static_cast<int64_t*>(p) = convert<int64_t>(v);
      return;
    case DType::float16_:
      *static_cast<Half*>(p) = convert<Half>(v);
      return;
    case DType::bfloat16_:
      *static_cast<BFloat16*>(p) = convert<BFloat16>(v);
      return;
    case DType::float32_:
      *static_cast<float*>(p) = convert<float>(v);
      return;
    default:
      *static_cast<double*>(p) = convert<double>(v);
  }
}

// One element of `dtype`, as T.
template <class T>
__device__ __forceinline__ T load(const void* p, DType dtype) {
  if (dtype == dtype_of<T>) return element<T>(p);
  if constexpr (std::is_same_v<T, float>) {
    if (dtype == DType::bfloat16_) return convert<T>(element<BFloat16>(p));
    if (dtype == DType::float16_) return convert<T>(element<Half>(p));
  }
  return load_rare<T>(p, dtype);
}

template <class T>
__device__ __forceinline__ void store(void* p, DType dtype, T v) {
  if (dtype == dtype_of<T>) {
    *static_cast<T*>(p) = v;
    return;
  }
  if constexpr (std::is_same_v<T, float>) {
    if (dtype == DType::bfloat16_) {
      *static_cast<BFloat16*>(p) = convert<BFloat16>(v);
      return;
    }
    if (dtype == DType::float16_) {
      *static_cast<Half*>(p) = convert<Half>(v);
      return;
    }
  }
  store_rare<T>(p, dtype, v);
}

// kVector elements, as one instruction moves them.
template <class T>
struct alignas(sizeof(T) * kVector > 16 ? 16 : sizeof(T) * kVector) Vector {
  T at[kVector];
};

template <class Stored, class T>
__device__ __forceinline__ void read_vector(const void* p, T* x) {
  const Vector<Stored> v = *static_cast<const Vector<Stored>*>(p);
#pragma unroll
  for (int k = 0; k < kVector; ++k) x[k] = convert<T>(v.at[k]);
}

template <class Stored, class T>
__device__ __forceinline__ void write_vector(void* p, const T* x) {
  Vector<Stored> v;
#pragma unroll
  for (int k = 0; k < kVector; ++k) v.at[k] = convert<Stored>(x[k]);
  *static_cast<Vector<Stored>*>(p) = v;
}

// kVector elements from an address that is a multiple of their size, where `is_vectorised`.
template <class T>
__device__ __forceinline__ void load_vector(const void* p, DType dtype, T* x) {
  if constexpr (std::is_same_v<T, float>) {
    if (dtype == DType::bfloat16_) return read_vector<BFloat16>(p, x);
    if (dtype == DType::float16_) return read_vector<Half>(p, x);
  }
  read_vector<T>(p, x);
}

template <class T>
__device__ __forceinline__ void store_vector(void* p, DType dtype, const T* x) {
  if constexpr (std::is_same_v<T, float>) {
    if (dtype == DType::bfloat16_) return write_vector<BFloat16>(p, x);
    if (dtype == DType::float16_) return write_vector<Half>(p, x);
  }
  write_vector<T>(p, x);
}

// The first `count` of kVector elements side by side that are no aligned vector; zeros for others.
// Calls, so that this code stands in a kernel once: in every place that reads it would be most of
// what is compiled.
template <class T>
__device__ OSTINATO_NOINLINE Vector<T> read_each(const char* from, DType dtype, uint32_t count) {
  Vector<T> x = {};
#pragma unroll
  for (uint32_t k = 0; k < kVector; ++k) {
    if (k < count) x.at[k] = load<T>(from + k * item_of(dtype), dtype);
  }
  return x;
}

template <class T>
__device__ OSTINATO_NOINLINE void write_each(char* to, DType dtype, uint32_t count, Vector<T> x) {
#pragma unroll
  for (uint32_t k = 0; k < kVector; ++k) {
    if (k < count) store(to + k * item_of(dtype), dtype, x.at[k]);
  }
}

}  // namespace ostinato::cuda
