#include "cpu/strided.hpp"

#include <cstdlib>
#include <string>

namespace ostinato {

void StridedLoop::begin(const Sizes& shape) {
  axes = 0;
  args = 0;
  numel = 1;
  for (int64_t size : shape) {
    if (size == 1) continue;
    if (axes == kMaxAxes) {
      throw Error(ErrorKind::shape, "shape of " + std::to_string(shape.size()) +
                                        " axes: at most 32 may be longer than 1; reshape first");
    }
    sizes[axes++] = size;
    numel *= size;
  }
  if (axes == 0) sizes[axes++] = 1;
}

void StridedLoop::add(const Sizes& shape, const Tensor& t) {
  const int64_t item = static_cast<int64_t>(size_of(t.dtype()));
  const int lead = shape.ssize() - t.ndim();
  int axis = 0;
  strides[0][args] = 0;
  for (int i = 0; i < shape.ssize(); ++i) {
    if (shape[i] == 1) continue;
    const bool has = i >= lead && t.sizes()[i - lead] != 1;
    strides[axis++][args] = has ? t.strides()[i - lead] * item : 0;
  }
  data[args++] = reinterpret_cast<char*>(t.bytes());
}

bool StridedLoop::merges(int outer, int inner) const {
  for (int a = 0; a < args; ++a) {
    if (strides[outer][a] != strides[inner][a] * sizes[inner]) return false;
  }
  return true;
}

void StridedLoop::coalesce() {
  const auto exchange = [this](int i, int j) {
    std::swap(sizes[i], sizes[j]);
    std::swap_ranges(strides[i], strides[i] + args, strides[j]);
  };
  for (int i = 1; i < axes; ++i) {
    for (int j = i; j > 0 && std::abs(strides[j - 1][0]) < std::abs(strides[j][0]); --j) {
      exchange(j - 1, j);
    }
  }
  int kept = 0;
  for (int i = 1; i < axes; ++i) {
    if (merges(kept, i)) {
      sizes[kept] *= sizes[i];
      std::copy(strides[i], strides[i] + args, strides[kept]);
    } else {
      ++kept;
      sizes[kept] = sizes[i];
      std::copy(strides[i], strides[i] + args, strides[kept]);
    }
  }
  axes = kept + 1;
}

void StridedLoop::seek(int64_t outer, int64_t* index, char** row) const {
  std::copy(data, data + args, row);
  for (int i = axes - 2; i >= 0; --i) {
    index[i] = outer % sizes[i];
    outer /= sizes[i];
    for (int a = 0; a < args; ++a) row[a] += index[i] * strides[i][a];
  }
}

}  // namespace ostinato
