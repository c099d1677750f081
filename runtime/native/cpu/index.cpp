// Reading at indices and adding at indices. Indices count from 0; others are an error.
#include <cstring>
#include <string>

#include "core/parallel.hpp"
#include "cpu/around.hpp"
#include "cpu/by_dtype.hpp"
#include "cpu/checks.hpp"
#include "cpu/copy.hpp"
#include "dispatch/shape_rules.hpp"

namespace ostinato {
namespace {

constexpr int64_t kGrain = 16384;  // elements
constexpr int64_t kBand = 32;      // elements of a row that one task adds

Tensor checked_index(const OpCall& call, const Tensor& given, int64_t size) {
  const Tensor index = contiguous_as(given, DType::int64_);
  const int64_t* p = index.data<int64_t>();
  const int64_t n = index.numel();
  uint64_t worst = 0;
  for (int64_t i = 0; i < n; ++i) worst = std::max(worst, static_cast<uint64_t>(p[i]));
  if (n == 0 || worst < static_cast<uint64_t>(size)) return index;
  int64_t at = 0;
  while (p[at] >= 0 && p[at] < size) ++at;
  fail_index(call.op->name, p[at], size);
}

void index_select(const OpCall& call, std::span<Tensor> out) {
  const Around at(call, call.attr(0).as_int(), call.operand(0).sizes());
  const Tensor index = checked_index(call, call.operand(1), at.n);
  const Tensor x = contiguous(call.operand(0));
  const ResultBuffer y(out[0], x.dtype());
  const int64_t m = index.numel();
  if (y.tensor().numel() == 0) return;
  const int64_t* p = index.data<int64_t>();
  const auto run = [&]<class T>(T) {
    const T* from = x.data<T>();
    T* to = y.data<T>();
    parallel_for(
        at.outer * m, std::max<int64_t>(1, kGrain / at.inner), [&](int64_t begin, int64_t end) {
          for (int64_t i = begin; i < end; ++i) {
            const T* row = from + (i / m * at.n + p[i % m]) * at.inner;
            if (at.inner == 1) {
              to[i] = *row;
            } else {
              std::memcpy(to + i * at.inner, row, static_cast<size_t>(at.inner) * sizeof(T));
            }
          }
        });
  };
  for_size(size_of(x.dtype()), run);
  y.store();
}
OSTINATO_KERNEL(index_select, index_select);

// What sums at indices add up in; integers wrap, and bools are true where any is.
DType adding_dtype(DType t) { return is_float(t) ? compute_dtype(t) : DType::int64_; }

template <class F>
void for_sum(DType dtype, F&& f) {
  if (dtype == DType::int64_) return f(uint64_t{});
  for_real(dtype, f);
}

// y (outer, n, inner) += source (outer, m, inner) at the indices, in their order at each place.
template <class T>
void add_rows(const Around& at, const int64_t* index, int64_t m, const T* source, T* y) {
  const int64_t bands = (at.inner + kBand - 1) / kBand;
  parallel_for(at.outer * bands, std::max<int64_t>(1, kGrain / (m * kBand + 1)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t task = begin; task < end;) {
                   // Neighbouring bands of one outer element go together.
                   const int64_t outer = task / bands, band = task % bands;
                   const int64_t count = std::min(bands - band, end - task);
                   const int64_t first = band * kBand;
                   const int64_t width = std::min(count * kBand, at.inner - first);
                   for (int64_t k = 0; k < m; ++k) {
                     T* to = y + (outer * at.n + index[k]) * at.inner + first;
                     const T* from = source + (outer * m + k) * at.inner + first;
                     for (int64_t j = 0; j < width; ++j) to[j] += from[j];
                   }
                   task += count;
                 }
               });
}

// `result` has the values that rows are added to.
void add_at(const OpCall& call, const Around& at, const Tensor& given_index, const Tensor& given,
            const ResultBuffer& y) {
  const Tensor index = checked_index(call, given_index, at.n);
  const Tensor source = contiguous_as(given, y.tensor().dtype());
  if (source.numel() > 0) {
    for_sum(y.tensor().dtype(), [&]<class T>(T) {
      add_rows(at, index.data<const int64_t>(), index.numel(), source.data<const T>(), y.data<T>());
    });
  }
  y.store();
}

void index_add(const OpCall& call, std::span<Tensor> out) {
  const Tensor &x = call.operand(0), &index = call.operand(1), &source = call.operand(2);
  const int64_t dim = call.attr(0).as_int();
  check_source(call, "source", source.sizes(), x.sizes(), index, dim);
  const ResultBuffer y(out[0], adding_dtype(x.dtype()));
  copy_into(y.tensor(), x);
  add_at(call, Around(call, dim, x.sizes()), index, source, y);
}
OSTINATO_KERNEL(index_add, index_add);

void index_select_backward(const OpCall& call, std::span<Tensor> out) {
  const Tensor &g = call.operand(0), &index = call.operand(1);
  const int64_t dim = call.attr(0).as_int();
  check_source(call, "g", g.sizes(), out[0].sizes(), index, dim);
  const ResultBuffer y(out[0], adding_dtype(g.dtype()));
  copy_into(y.tensor(), number(int64_t{0}));
  add_at(call, Around(call, dim, out[0].sizes()), index, g, y);
}
OSTINATO_KERNEL(index_select_backward, index_select_backward);

// The lines along one axis of an index tensor, and where they start in other tensors.
struct Lines {
  Sizes sizes;
  int axis = 0;
  int64_t length = 1, count = 1;

  Lines(const OpCall& call, const Tensor& index) : sizes(index.sizes()) {
    axis = axis_of(call.op->name, call.attr(0).as_int(), sizes.ssize(), sizes);
    for (int i = 0; i < sizes.ssize(); ++i) (i == axis ? length : count) *= sizes[i];
  }
  int64_t start(int64_t line, const Sizes& strides) const {
    int64_t offset = 0;
    for (int i = sizes.ssize() - 1; i >= 0; --i) {
      if (i == axis) continue;
      offset += line % sizes[i] * strides[i];
      line /= sizes[i];
    }
    return offset;
  }
  int64_t step(const Sizes& strides) const { return sizes.empty() ? 0 : strides[axis]; }
  int64_t size_in(const Tensor& x) const { return x.ndim() == 0 ? 1 : x.size(axis); }

  template <class F>
  void each(F&& f) const {
    parallel_for(count, std::max<int64_t>(1, kGrain / (length + 1)),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t line = begin; line < end; ++line) f(line);
                 });
  }
};

void gather(const OpCall& call, std::span<Tensor> out) {
  const Tensor& x = call.operand(0);
  const Lines lines(call, call.operand(1));
  const Tensor index = checked_index(call, call.operand(1), lines.size_in(x));
  if (index.numel() == 0) return;
  const int64_t* p = index.data<int64_t>();
  const int64_t x_step = lines.step(x.strides()), index_step = lines.step(index.strides());
  const int64_t y_step = lines.step(out[0].strides());
  for_size(size_of(x.dtype()), [&]<class T>(T) {
    lines.each([&](int64_t line) {
      const T* from = x.data<T>() + lines.start(line, x.strides());
      const int64_t* at = p + lines.start(line, index.strides());
      T* to = out[0].data<T>() + lines.start(line, out[0].strides());
      for (int64_t k = 0; k < lines.length; ++k) {
        to[k * y_step] = from[at[k * index_step] * x_step];
      }
    });
  });
}
OSTINATO_KERNEL(gather, gather);

// Each line adds to a line of its own, so that lines are independent.
void scatter_add(const OpCall& call, std::span<Tensor> out) {
  const Tensor& x = call.operand(0);
  const DType dtype = adding_dtype(x.dtype());
  const Lines lines(call, call.operand(1));
  const Tensor index = checked_index(call, call.operand(1), lines.size_in(x));
  const Tensor source = contiguous_as(call.operand(2), dtype);
  const ResultBuffer y(out[0], dtype);
  copy_into(y.tensor(), x);
  if (index.numel() > 0) {
    const Sizes& strides = y.tensor().strides();
    const int64_t y_step = lines.step(strides), index_step = lines.step(index.strides());
    const int64_t source_step = lines.step(source.strides());
    for_sum(dtype, [&]<class T>(T) {
      lines.each([&](int64_t line) {
        const int64_t* at = index.data<int64_t>() + lines.start(line, index.strides());
        const T* from = source.data<T>() + lines.start(line, source.strides());
        T* to = y.data<T>() + lines.start(line, strides);
        for (int64_t k = 0; k < lines.length; ++k) {
          to[at[k * index_step] * y_step] += from[k * source_step];
        }
      });
    });
  }
  y.store();
}
OSTINATO_KERNEL(scatter_add, scatter_add);

}  // namespace
}  // namespace ostinato
