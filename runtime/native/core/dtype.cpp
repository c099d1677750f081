#include "core/dtype.hpp"

#include <algorithm>

namespace ostinato {

DType promote(DType a, DType b) {
  if (a == b) return a;
  if (category(a) != category(b)) return category(a) > category(b) ? a : b;
  if (is_float(a)) {
    const bool halves = size_of(a) == 2 && size_of(b) == 2;
    return halves ? DType::float32_ : std::max(a, b);
  }
  // uint8 and int8 have no common type of 8 bits; all wider integers are signed.
  if (std::max(a, b) == DType::int8_) return DType::int16_;
  return std::max(a, b);
}

float to_float(Half h) {
  const uint32_t sign = uint32_t{h.bits & 0x8000u} << 16;
  const uint32_t magnitude = h.bits & 0x7fffu;
  if (magnitude > 0x7c00u) {
    return __builtin_bit_cast(float, sign | 0x7fc00000u | (magnitude & 0x3ffu) << 13);
  }
  if (magnitude == 0x7c00u) return __builtin_bit_cast(float, sign | 0x7f800000u);
  if (magnitude >= 0x400u) {
    return __builtin_bit_cast(float, sign | ((magnitude << 13) + 0x38000000u));
  }
  const float small = static_cast<float>(magnitude) * 0x1p-24f;
  return __builtin_bit_cast(float, sign | __builtin_bit_cast(uint32_t, small));
}

Half to_half(float f) {
  const uint32_t bits = __builtin_bit_cast(uint32_t, f);
  const uint32_t sign = bits >> 16 & 0x8000u;
  uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) {
    return {static_cast<uint16_t>(sign | 0x7e00u | (magnitude >> 13 & 0x3ffu))};
  }
  if (magnitude >= 0x477ff000u) return {static_cast<uint16_t>(sign | 0x7c00u)};
  if (magnitude < 0x38800000u) {
    // Beside 0.5 the last bit of a float is the last bit of a subnormal half.
    const float shifted = __builtin_bit_cast(float, magnitude) + 0.5f;
    return {static_cast<uint16_t>(sign | (__builtin_bit_cast(uint32_t, shifted) - 0x3f000000u))};
  }
  magnitude += 0xfffu + (magnitude >> 13 & 1u);
  return {static_cast<uint16_t>(sign | ((magnitude - 0x38000000u) >> 13))};
}

}  // namespace ostinato
