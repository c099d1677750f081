// Transposition of bands of a matrix.
#pragma once
#include <cstddef>
#include <cstdint>

namespace ostinato {

// to[i][j] = from[j][i] for i < rows, j < columns; strides in bytes: `to_stride` between rows of
// the target, `from_stride` between rows of the source, elements side by side in both.
using TransposeFn = void (*)(const char* from, int64_t from_stride, char* to, int64_t to_stride,
                             int64_t rows, int64_t columns);

}  // namespace ostinato
