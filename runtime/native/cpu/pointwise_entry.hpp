// What a printed pointwise loop tells of itself: all that the files of loops need to know.
#pragma once
#include <cstdint>

#include "core/dtype.hpp"

namespace ostinato {

// One run of n elements. `ptrs` and `strides` (bytes, 0 for a broadcast operand): results first,
// then operands. A result may be an operand (in-place), element for element.
using InnerFn = void (*)(char* const* ptrs, const int64_t* strides, int64_t n);

// One printed inner loop: the op itself (operand -1) or the gradient of one operand, whose
// arguments are those of `uses` among (g, result, operands...). A null `inner` passes g on.
struct PointwiseEntry {
  uint16_t op;
  uint8_t variant;
  int8_t operand;
  DType compute;
  DType produces;
  uint32_t uses;
  InnerFn inner;
  uint16_t number;  // in the order of generate/kernels.py: names the CUDA kernel
};

}  // namespace ostinato
