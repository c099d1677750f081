// What host and device code share: the parameters of kernels, passed by value.
#pragma once
#include <cstdint>

#include "core/dtype.hpp"

namespace ostinato::cuda {

inline constexpr int kThreads = 256;  // of a block, but where a kernel says else
inline constexpr int kVector = 4;     // elements that move together: 16 bytes of the 32-bit types
inline constexpr int kMostAxes = 8;   // that are left when those that are one are merged
inline constexpr int kMostArguments = 5;

// A size, and what it takes to divide numbers below 2^31 by it without a division: the quotient is
// the upper half of the product with `magic`, shifted (Granlund and Montgomery 1994).
struct Divider {
  uint32_t size;
  uint32_t magic;
  uint32_t shift;
};

// Axes to count along, innermost first; strides in bytes.
struct Axes {
  int32_t count;
  Divider sizes[kMostAxes];
  int64_t strides[kMostAxes];
};

// An operand or result. Memory is read and written in its own dtype; an operand that lies on the
// host comes as a value, the bits of the type that the kernel computes in.
struct Argument {
  union {
    char* memory;
    uint64_t bits;
  };
  DType dtype;
  bool is_value;
};

// A loop over the elements of a result: the axes innermost first, argument 0 the result. Offsets
// in bytes and indices fit in 31 bits; what is larger takes several launches.
struct PointwiseParams {
  uint32_t count;
  uint32_t vectors;  // the first kVector * vectors elements move kVector at a time
  int32_t axes;
  Argument arguments[kMostArguments];
  Divider sizes[kMostAxes];
  int32_t strides[kMostAxes][kMostArguments];
};

}  // namespace ostinato::cuda
