// Conversion between dtypes: floats to narrow integers by way of int32, half types by way of float.
#include "cpu/convert.hpp"

#include <type_traits>

#if defined(__F16C__)
#include <immintrin.h>
#endif

namespace ostinato::OSTINATO_ISA {
namespace {

struct Bool {
  uint8_t value;
};

template <class T>
constexpr bool is_half = std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>;

template <class To, class From>
inline To cast(From v) {
  if constexpr (std::is_same_v<To, From>) {
    return v;
  } else if constexpr (std::is_same_v<From, Bool>) {
    return cast<To>(static_cast<uint8_t>(v.value != 0));
  } else if constexpr (is_half<From>) {
    return cast<To>(to_float(v));
  } else if constexpr (std::is_same_v<To, Bool>) {
    return Bool{static_cast<uint8_t>(v != From{})};
  } else if constexpr (std::is_same_v<To, Half>) {
    return to_half(static_cast<float>(v));
  } else if constexpr (std::is_same_v<To, BFloat16>) {
    return to_bfloat16(static_cast<float>(v));
  } else if constexpr (std::is_floating_point_v<From> && sizeof(To) < 4) {
    return static_cast<To>(static_cast<int32_t>(v));
  } else {
    return static_cast<To>(v);
  }
}

template <class From, class To>
inline void dense(const From* __restrict from, To* __restrict to, int64_t n) {
  int64_t i = 0;
#if defined(__F16C__)
  if constexpr (std::is_same_v<From, Half> && std::is_same_v<To, float>) {
    for (; i + 8 <= n; i += 8) {
      const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i));
      _mm256_storeu_ps(to + i, _mm256_cvtph_ps(bits));
    }
  } else if constexpr (std::is_same_v<From, float> && std::is_same_v<To, Half>) {
    for (; i + 8 <= n; i += 8) {
      const __m128i bits = _mm256_cvtps_ph(_mm256_loadu_ps(from + i), _MM_FROUND_TO_NEAREST_INT);
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to + i), bits);
    }
  }
#endif
  for (; i < n; ++i) to[i] = cast<To>(from[i]);
}

template <class From, class To>
void convert(const char* from, int64_t from_stride, char* to, int64_t to_stride, int64_t n) {
  constexpr int64_t from_size = sizeof(From);
  constexpr int64_t to_size = sizeof(To);
  if (from_stride == from_size && to_stride == to_size) {
    return dense(reinterpret_cast<const From*>(from), reinterpret_cast<To*>(to), n);
  }
  if (from_stride == 0) {
    const To value = cast<To>(*reinterpret_cast<const From*>(from));
    if (to_stride == to_size) {
      To* target = reinterpret_cast<To*>(to);
      for (int64_t i = 0; i < n; ++i) target[i] = value;
      return;
    }
    for (int64_t i = 0; i < n; ++i) *reinterpret_cast<To*>(to + i * to_stride) = value;
    return;
  }
  for (int64_t i = 0; i < n; ++i) {
    *reinterpret_cast<To*>(to + i * to_stride) =
        cast<To>(*reinterpret_cast<const From*>(from + i * from_stride));
  }
}

template <class From>
ConvertFn to_any(DType to) {
  switch (to) {
    case DType::bool_:
      return convert<From, Bool>;
    case DType::uint8_:
      return convert<From, uint8_t>;
    case DType::int8_:
      return convert<From, int8_t>;
    case DType::int16_:
      return convert<From, int16_t>;
    case DType::int32_:
      return convert<From, int32_t>;
    case DType::int64_:
      return convert<From, int64_t>;
    case DType::float16_:
      return convert<From, Half>;
    case DType::bfloat16_:
      return convert<From, BFloat16>;
    case DType::float32_:
      return convert<From, float>;
    case DType::float64_:
      return convert<From, double>;
  }
  __builtin_unreachable();
}

// Elements of one size move alike, whatever they mean.
ConvertFn mover(size_t size) {
  switch (size) {
    case 1:
      return convert<uint8_t, uint8_t>;
    case 2:
      return convert<int16_t, int16_t>;
    case 4:
      return convert<int32_t, int32_t>;
    default:
      return convert<int64_t, int64_t>;
  }
}

}  // namespace

ConvertFn converter(DType from, DType to) {
  if (from == to) return mover(size_of(from));
  switch (from) {
    case DType::bool_:
      return to_any<Bool>(to);
    case DType::uint8_:
      return to_any<uint8_t>(to);
    case DType::int8_:
      return to_any<int8_t>(to);
    case DType::int16_:
      return to_any<int16_t>(to);
    case DType::int32_:
      return to_any<int32_t>(to);
    case DType::int64_:
      return to_any<int64_t>(to);
    case DType::float16_:
      return to_any<Half>(to);
    case DType::bfloat16_:
      return to_any<BFloat16>(to);
    case DType::float32_:
      return to_any<float>(to);
    case DType::float64_:
      return to_any<double>(to);
  }
  __builtin_unreachable();
}

}  // namespace ostinato::OSTINATO_ISA
