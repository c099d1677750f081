// Conversion of runs of elements between dtypes.
#pragma once
#include "core/dtype.hpp"

namespace ostinato {

// Converts n elements; strides in bytes, 0 repeats an element. Source and target do not overlap.
using ConvertFn = void (*)(const char* from, int64_t from_stride, char* to, int64_t to_stride,
                           int64_t n);
ConvertFn converter(DType from, DType to);

}  // namespace ostinato
