#include "cpu/reduce.hpp"

#include <cstring>

#include "core/parallel.hpp"
#include "cpu/copy.hpp"
#include "cpu/isa.hpp"

namespace ostinato {

OSTINATO_PER_ISA(ReduceFns reduce_fns(Reduction kind, DType dtype);)

ReduceFns reduce_functions(Reduction kind, DType dtype) {
  return OSTINATO_CHOOSE(reduce_fns(kind, dtype));
}

namespace {

// Fixed sizes, so that results do not depend on the number of threads.
constexpr int64_t kRowBlock = 16384;   // elements of a row that one task reduces
constexpr int64_t kColumnBlock = 512;  // columns of one task
constexpr int64_t kHeightBlock = 512;  // rows of one task
constexpr int64_t kGrain = 16384;      // elements

struct Axis {
  int64_t size;
  int64_t stride;  // elements
};
using Axes = SmallVector<Axis, 6>;

// Axes that are longer than 1, merged where one stride serves.
void append(Axes& axes, Axis axis) {
  if (axis.size == 1) return;
  if (!axes.empty() && axes.back().stride == axis.stride * axis.size) {
    axes.back() = {axes.back().size * axis.size, axis.stride};
  } else {
    axes.push_back(axis);
  }
}

int64_t offset_of(const Axes& axes, int64_t index) {
  int64_t offset = 0;
  for (int i = axes.ssize() - 1; i >= 0; --i) {
    offset += index % axes[i].size * axes[i].stride;
    index /= axes[i].size;
  }
  return offset;
}

struct Reducer {
  ReduceFns fns;
  int64_t item;
  const char* x;
  char* result;
  DType dtype;

  const char* at(int64_t element) const { return x + element * item; }

  // Each kept element is one dense row of n.
  void rows(const Axes& kept, int64_t count, int64_t n) const {
    const int64_t blocks = (n + kRowBlock - 1) / kRowBlock;
    if (blocks > 1) return long_rows(kept, count, n, blocks);
    parallel_for(count, std::max<int64_t>(1, kGrain / std::max<int64_t>(n, 1)),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t i = begin; i < end; ++i) {
                     fns.row(at(offset_of(kept, i)), n, result + i * item);
                   }
                 });
  }

  void long_rows(const Axes& kept, int64_t count, int64_t n, int64_t blocks) const {
    const Tensor parts = empty({count, blocks}, dtype);
    char* partial = reinterpret_cast<char*>(parts.bytes());
    parallel_for(count * blocks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t first = i % blocks * kRowBlock;
        fns.row(at(offset_of(kept, i / blocks) + first), std::min(kRowBlock, n - first),
                partial + i * item);
      }
    });
    for (int64_t i = 0; i < count; ++i) {
      fns.row(partial + i * blocks * item, blocks, result + i * item);
    }
  }

  // The innermost kept axis is dense, and the reduced elements are `stride` apart.
  void columns(const Axes& outer, int64_t outer_count, int64_t width, int64_t height,
               int64_t stride) const {
    const int64_t across = (width + kColumnBlock - 1) / kColumnBlock;
    const int64_t down = std::max<int64_t>(1, (height + kHeightBlock - 1) / kHeightBlock);
    const Tensor parts = empty({down == 1 ? 0 : outer_count, down, width}, dtype);
    char* target = down == 1 ? result : reinterpret_cast<char*>(parts.bytes());
    const int64_t task = std::min(width, kColumnBlock) * std::min(height, kHeightBlock);
    parallel_for(outer_count * down * across, std::max<int64_t>(1, kGrain / (task + 1)),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t i = begin; i < end; ++i) {
                     const int64_t c = i % across * kColumnBlock;
                     const int64_t band = i / across, r = band % down * kHeightBlock;
                     const int64_t start = offset_of(outer, band / down) + r * stride + c;
                     fns.columns(at(start), stride, std::min(kHeightBlock, height - r),
                                 std::min(kColumnBlock, width - c),
                                 target + (band * width + c) * item);
                   }
                 });
    if (down == 1) return;
    for (int64_t o = 0; o < outer_count; ++o) {
      fns.columns(target + o * down * width * item, width, down, width, result + o * width * item);
    }
  }
};

void split_axes(const Tensor& x, const Sizes& marks, Axes& kept, Axes& summed) {
  for (int i = 0; i < x.ndim(); ++i) {
    append(marks[i] != 0 ? summed : kept, {x.size(i), x.strides()[i]});
  }
}

int64_t count(const Axes& axes) {
  int64_t n = 1;
  for (const Axis& a : axes) n *= a.size;
  return n;
}

}  // namespace

Tensor reduced_last(const Tensor& x, const Sizes& marks) {
  Sizes sizes, strides;
  for (const bool wanted : {false, true}) {
    for (int i = 0; i < x.ndim(); ++i) {
      if ((marks[i] != 0) != wanted) continue;
      sizes.push_back(x.size(i));
      strides.push_back(x.strides()[i]);
    }
  }
  return as_view(x, std::move(sizes), std::move(strides), x->offset);
}

void reduce_axes(Reduction kind, const Tensor& x, const Sizes& marks, const Tensor& result) {
  if (result.numel() == 0) return;
  Axes kept, summed;
  split_axes(x, marks, kept, summed);
  const int64_t n = count(summed), rows = count(kept);
  const Reducer reducer{reduce_functions(kind, x.dtype()), static_cast<int64_t>(size_of(x.dtype())),
                        reinterpret_cast<const char*>(x.bytes()),
                        reinterpret_cast<char*>(result.bytes()), x.dtype()};
  if (summed.empty() || n == 0 || (summed.size() == 1 && summed[0].stride == 1)) {
    return reducer.rows(kept, rows, n);
  }
  if (summed.size() == 1 && !kept.empty() && kept.back().stride == 1) {
    const int64_t width = kept.back().size;
    kept.pop_back();
    return reducer.columns(kept, rows / width, width, n, summed[0].stride);
  }
  // Anything else is laid out as rows first.
  const Tensor dense = contiguous(reduced_last(x, marks));
  Reducer on_copy = reducer;
  on_copy.x = reinterpret_cast<const char*>(dense.bytes());
  Axes one;
  append(one, {rows, n});
  on_copy.rows(one, rows, n);
}

}  // namespace ostinato
