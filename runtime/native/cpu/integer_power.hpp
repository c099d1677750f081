// Powers of integers: the loop behind the scalar function `pow`.
#pragma once
#include <type_traits>

namespace ostinato {

// x to the y, wrapping; a negative exponent gives the quotient 1 / x^-y, truncated.
template <class T>
constexpr T integer_power(T x, T y) {
  using U = std::make_unsigned_t<T>;
  if (y < 0) return x == 1 ? T{1} : x == T(-1) ? (y & 1 ? x : T{1}) : T{0};
  U result = 1;
  U square = static_cast<U>(x);
  for (; y != 0; y = static_cast<T>(y >> 1), square *= square) {
    if (y & 1) result *= square;
  }
  return static_cast<T>(result);
}

}  // namespace ostinato
