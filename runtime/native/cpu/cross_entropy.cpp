// The cross-entropy loss of class scores, and its gradient.
#include "cpu/checks.hpp"
#include "cpu/reduce.hpp"
#include "cpu/rows.hpp"

namespace ostinato {
namespace {

// Scores as dense rows of classes, and the class wanted of each row.
struct Classes {
  Tensor scores;  // (..., classes)
  Tensor target;
  DType dtype;
  int64_t classes;
  int64_t rows;
  int64_t ignored;
  bool mean;
  bool each;  // no reduction
  double smoothing;

  Classes(const Tensor& input, const Tensor& targets, std::span<const Attr> attrs)
      : target(contiguous_as(targets, DType::int64_)),
        dtype(compute_dtype(input.dtype())),
        ignored(attrs[0].as_int()),
        mean(attrs[1].as_string() == "mean"),
        each(attrs[1].as_string() == "none"),
        smoothing(attrs[2].as_double()) {
    const int axis = class_axis(input);
    scores = contiguous_as(reduced_last(input, mark_axis(input.ndim(), axis)), dtype);
    classes = input.size(axis);
    rows = target.numel();
    check();
  }

  static int class_axis(const Tensor& input) { return input.ndim() > 1 ? 1 : 0; }

  bool counts(int64_t row) const { return target.data<int64_t>()[row] != ignored; }

  int64_t count() const {
    int64_t n = 0;
    for (int64_t i = 0; i < rows; ++i) n += counts(i) ? 1 : 0;
    return n;
  }

  void check() const {
    for (int64_t i = 0; i < rows; ++i) {
      const int64_t t = target.data<int64_t>()[i];
      if ((t >= 0 && t < classes) || t == ignored) continue;
      fail_target(t, classes);
    }
  }
};

void cross_entropy(const OpCall& call, std::span<Tensor> out) {
  const Classes c(call.operand(0), call.operand(1), call.attrs);
  const ResultBuffer result(out[0], c.dtype);
  const Tensor losses = c.each ? result.tensor() : empty({c.rows}, c.dtype);
  const int64_t n = c.classes;
  for_real(c.dtype, [&]<class T>(T) {
    const T smoothing = static_cast<T>(c.smoothing);
    const int64_t* target = c.target.data<int64_t>();
    T* loss = losses.data<T>();
    for_rows(c.rows, n, [&](int64_t i) {
      const T* row = c.scores.data<T>() + i * n;
      loss[i] = c.counts(i) ? row_functions<T>().cross_entropy(row, target[i], smoothing, n) : T{0};
    });
    if (c.each) return;
    T total;
    reduce_functions(Reduction::sum, c.dtype).row(loss, c.rows, &total);
    *result.data<T>() = c.mean ? total / static_cast<T>(c.count()) : total;
  });
  result.store();
}
OSTINATO_KERNEL(cross_entropy, cross_entropy);

void cross_entropy_backward(const OpCall& call, std::span<Tensor> out) {
  const Classes c(call.operand(1), call.operand(2), call.attrs);
  const Tensor g = contiguous_as(call.operand(0), c.dtype);
  const Sizes marks = mark_axis(out[0].ndim(), Classes::class_axis(out[0]));
  const Tensor as_rows = reduced_last(out[0], marks);
  const ResultBuffer x_g(as_rows, c.dtype);
  const int64_t n = c.classes;
  for_real(c.dtype, [&]<class T>(T) {
    const T smoothing = static_cast<T>(c.smoothing);
    const T divisor = c.mean ? static_cast<T>(c.count()) : T{1};
    const T* row_g = g.data<T>();
    const int64_t step = c.each ? 1 : 0;
    for_rows(c.rows, n, [&](int64_t i) {
      T* to = x_g.data<T>() + i * n;
      if (!c.counts(i)) {
        std::fill(to, to + n, T{0});
        return;
      }
      row_functions<T>().cross_entropy_backward(c.scores.data<T>() + i * n,
                                                c.target.data<int64_t>()[i], smoothing,
                                                row_g[i * step] / divisor, to, n);
    });
  });
  x_g.store();
}
OSTINATO_KERNEL(cross_entropy_backward, cross_entropy_backward);

}  // namespace
}  // namespace ostinato
