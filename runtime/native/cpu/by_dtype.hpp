// Runs a generic function for the C++ type that a dtype names at run time.
#pragma once
#include <cstdint>

#include "core/dtype.hpp"

namespace ostinato {

// f(T{}) for float or double; `dtype` is one of the two.
template <class F>
void for_real(DType dtype, F&& f) {
  if (dtype == DType::float64_) {
    f(double{});
  } else {
    f(float{});
  }
}

// f(T{}) for an unsigned integer of the size of an element, for code that only moves elements.
template <class F>
void for_size(size_t item, F&& f) {
  switch (item) {
    case 1:
      return f(uint8_t{});
    case 2:
      return f(uint16_t{});
    case 4:
      return f(uint32_t{});
    default:
      return f(uint64_t{});
  }
}

}  // namespace ostinato
