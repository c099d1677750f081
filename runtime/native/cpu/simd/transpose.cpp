#include "cpu/simd/transpose.hpp"

#include <algorithm>
#include <cstring>

namespace ostinato::OSTINATO_ISA {
namespace {

// A block goes through registers or L1: rows of the source are read densely, those of the target
// written densely.
template <class T, int N>
inline void block(const char* from, int64_t from_stride, char* to, int64_t to_stride) {
  T tile[N][N];
  for (int j = 0; j < N; ++j) {
    T row[N];
    std::memcpy(row, from + j * from_stride, sizeof row);
    for (int i = 0; i < N; ++i) tile[i][j] = row[i];
  }
  for (int i = 0; i < N; ++i) std::memcpy(to + i * to_stride, tile[i], sizeof tile[i]);
}

template <class T>
void transpose(const char* from, int64_t from_stride, char* to, int64_t to_stride, int64_t rows,
               int64_t columns) {
  constexpr int N = 8;
  constexpr int64_t item = sizeof(T);
  const int64_t whole_rows = rows / N * N, whole_columns = columns / N * N;
  const auto one = [&](int64_t i, int64_t j) {
    std::memcpy(to + i * to_stride + j * item, from + j * from_stride + i * item, sizeof(T));
  };
  for (int64_t j = 0; j < whole_columns; j += N) {
    for (int64_t i = 0; i < whole_rows; i += N) {
      block<T, N>(from + j * from_stride + i * item, from_stride, to + i * to_stride + j * item,
                  to_stride);
    }
    for (int64_t i = whole_rows; i < rows; ++i) {
      for (int64_t k = j; k < j + N; ++k) one(i, k);
    }
  }
  for (int64_t j = whole_columns; j < columns; ++j) {
    for (int64_t i = 0; i < rows; ++i) one(i, j);
  }
}

}  // namespace

TransposeFn transposer(size_t item) {
  switch (item) {
    case 1:
      return transpose<uint8_t>;
    case 2:
      return transpose<uint16_t>;
    case 4:
      return transpose<uint32_t>;
    default:
      return transpose<uint64_t>;
  }
}

}  // namespace ostinato::OSTINATO_ISA
