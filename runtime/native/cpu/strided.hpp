// A loop nest over arguments of one shape that have strides of their own.
#pragma once
#include <algorithm>

#include "core/tensor.hpp"

namespace ostinato {

inline constexpr int kMaxAxes = 32;
inline constexpr int kMaxArgs = 16;

// Fill with `begin` and `add`, then `coalesce`, then `run` any ranges of [0, numel).
struct StridedLoop {
  int axes = 0;
  int args = 0;
  int64_t numel = 1;
  int64_t sizes[kMaxAxes];              // outermost first
  int64_t strides[kMaxAxes][kMaxArgs];  // bytes
  char* data[kMaxArgs];

  // Axes of size 1 are left out. Throws Error (shape) for more than kMaxAxes others.
  void begin(const Sizes& shape);
  // `t` broadcast to `shape`; both as given to begin.
  void add(const Sizes& shape, const Tensor& t);
  // Orders the axes by the strides of argument 0 and merges those that are one for all arguments.
  void coalesce();

  // f(pointers, n) for each run along the innermost axis; strides are strides[axes - 1].
  template <class F>
  void run(int64_t from, int64_t to, F&& f) const {
    char* row[kMaxArgs];
    char* at[kMaxArgs];
    int64_t index[kMaxAxes];
    const int inner = axes - 1;
    const int64_t length = sizes[inner];
    int64_t offset = from % length;
    seek(from / length, index, row);
    while (from < to) {
      const int64_t n = std::min(length - offset, to - from);
      for (int a = 0; a < args; ++a) at[a] = row[a] + offset * strides[inner][a];
      f(static_cast<char* const*>(at), n);
      from += n;
      offset = 0;
      if (from < to) advance(index, row);
    }
  }

 private:
  bool merges(int outer, int inner) const;
  void seek(int64_t outer, int64_t* index, char** row) const;
  void advance(int64_t* index, char** row) const {
    for (int i = axes - 2; i >= 0; --i) {
      if (++index[i] < sizes[i]) {
        for (int a = 0; a < args; ++a) row[a] += strides[i][a];
        return;
      }
      for (int a = 0; a < args; ++a) row[a] -= strides[i][a] * (sizes[i] - 1);
      index[i] = 0;
    }
  }
};

}  // namespace ostinato
