// Element types: the C++ side of ir/dtypes.py (codes agree; a table test compares them).
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace ostinato {

enum class DType : uint8_t {
  bool_,
  uint8_,
  int8_,
  int16_,
  int32_,
  int64_,
  float16_,
  bfloat16_,
  float32_,
  float64_,
};
inline constexpr int kDTypeCount = 10;

// 0 bool, 1 integer, 2 floating point: the order of promotion.
constexpr int category(DType t) { return t == DType::bool_ ? 0 : t <= DType::int64_ ? 1 : 2; }
constexpr bool is_float(DType t) { return category(t) == 2; }
constexpr size_t size_of(DType t) {
  constexpr size_t sizes[] = {1, 1, 1, 2, 4, 8, 2, 2, 4, 8};
  return sizes[static_cast<int>(t)];
}
constexpr std::string_view name_of(DType t) {
  constexpr std::string_view names[] = {"bool",  "uint8",   "int8",     "int16",   "int32",
                                        "int64", "float16", "bfloat16", "float32", "float64"};
  return names[static_cast<int>(t)];
}
// The smallest dtype both convert to, as torch.promote_types.
DType promote(DType a, DType b);

// IEEE half and bfloat16 as storage; arithmetic happens in float.
struct Half {
  uint16_t bits;
};
struct BFloat16 {
  uint16_t bits;
};
float to_float(Half h);
Half to_half(float f);
inline float to_float(BFloat16 b) { return __builtin_bit_cast(float, uint32_t{b.bits} << 16); }
inline BFloat16 to_bfloat16(float f) {
  uint32_t u = __builtin_bit_cast(uint32_t, f);
  if ((u & 0x7fffffffu) > 0x7f800000u) return {static_cast<uint16_t>((u >> 16) | 0x40)};
  return {static_cast<uint16_t>((u + 0x7fffu + ((u >> 16) & 1)) >> 16)};  // round to nearest even
}

}  // namespace ostinato
