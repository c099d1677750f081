// layer_norm and rms_norm over the last axes, and their gradients.
#include "cpu/reduce.hpp"
#include "cpu/rows.hpp"

namespace ostinato {
namespace {

// The length of a row: the product of attribute 0, the normalized shape.
int64_t row_length(const OpCall& call) { return product(call.attr(0).as_sizes()); }

int64_t count_rows(const Tensor& x, int64_t n) { return n == 0 ? 0 : x.numel() / n; }

void layer_norm(const OpCall& call, std::span<Tensor> out) {
  const DType dtype = compute_dtype(out[0].dtype());
  const Tensor x = contiguous_as(call.operand(0), dtype);
  const Tensor weight = dense_or_null(call.operand(1), dtype);
  const Tensor bias = dense_or_null(call.operand(2), dtype);
  const ResultBuffer y(out[0], dtype);
  const int64_t n = row_length(call);
  for_real(dtype, [&]<class T>(T) {
    const RowFns<T>& fns = row_functions<T>();
    const T* w = data_or_null<const T>(weight);
    const T* b = data_or_null<const T>(bias);
    const T eps = static_cast<T>(call.attr(1).as_double());
    for_rows(count_rows(x, n), n, [&](int64_t i) {
      fns.layer_norm(x.data<T>() + i * n, w, b, eps, y.data<T>() + i * n, n);
    });
  });
  y.store();
}
OSTINATO_KERNEL(layer_norm, layer_norm);

void rms_norm(const OpCall& call, std::span<Tensor> out) {
  const DType dtype = compute_dtype(out[0].dtype());
  const Tensor x = contiguous_as(call.operand(0), dtype);
  const Tensor weight = dense_or_null(call.operand(1), dtype);
  const ResultBuffer y(out[0], dtype);
  const int64_t n = row_length(call);
  for_real(dtype, [&]<class T>(T) {
    const RowFns<T>& fns = row_functions<T>();
    const T* w = data_or_null<const T>(weight);
    const T eps = static_cast<T>(rms_eps(call.attr(1), dtype));
    for_rows(count_rows(x, n), n,
             [&](int64_t i) { fns.rms_norm(x.data<T>() + i * n, w, eps, y.data<T>() + i * n, n); });
  });
  y.store();
}
OSTINATO_KERNEL(rms_norm, rms_norm);

// Rows in bands of a fixed number, each with sums of its own for weight and bias, so that these do
// not depend on the number of threads.
struct Bands {
  int64_t rows;
  int64_t height;
  int64_t count;

  explicit Bands(int64_t rows) : rows(rows), height(std::max<int64_t>(8, (rows + 63) / 64)) {
    count = (rows + height - 1) / height;
  }
};

// f(row, sums) for each row, where `sums` are `parts` * n elements of the row's band; then
// the sums of all bands go to `results`.
template <class T, class F>
void for_banded_rows(const Bands& bands, int64_t n, int64_t parts, T* const* results, F f) {
  const DType dtype = sizeof(T) == 8 ? DType::float64_ : DType::float32_;
  const Tensor sums = empty({bands.count, parts * n}, dtype);
  T* all = sums.data<T>();
  const int64_t grain = std::max<int64_t>(1, 8192 / (n * bands.height + 1));
  parallel_for(bands.count, grain, [&](int64_t begin, int64_t end) {
    for (int64_t band = begin; band < end; ++band) {
      T* own = all + band * parts * n;
      std::fill(own, own + parts * n, T{0});
      const int64_t last = std::min(bands.rows, (band + 1) * bands.height);
      for (int64_t i = band * bands.height; i < last; ++i) f(i, own);
    }
  });
  const ReduceFns fns = reduce_functions(Reduction::sum, dtype);
  for (int64_t p = 0; p < parts; ++p) {
    fns.columns(all + p * n, parts * n, bands.count, n, results[p]);
  }
}

void layer_norm_backward(const OpCall& call, std::span<Tensor> out) {
  const DType dtype = compute_dtype(call.operand(1).dtype());
  const Tensor g = contiguous_as(call.operand(0), dtype);
  const Tensor x = contiguous_as(call.operand(1), dtype);
  const Tensor weight = dense_or_null(call.operand(2), dtype);
  const ResultBuffer x_g(out[0], dtype), weight_g(out[1], dtype), bias_g(out[2], dtype);
  const int64_t n = row_length(call);
  for_real(dtype, [&]<class T>(T) {
    const RowFns<T>& fns = row_functions<T>();
    const T* w = data_or_null<const T>(weight);
    const T eps = static_cast<T>(call.attr(1).as_double());
    T* const sums[] = {weight_g.data<T>(), bias_g.data<T>()};
    for_banded_rows<T>(Bands(count_rows(x, n)), n, 2, sums, [&](int64_t i, T* own) {
      fns.layer_norm_backward(g.data<T>() + i * n, x.data<T>() + i * n, w, eps,
                              x_g.data<T>() + i * n, own, own + n, n);
    });
  });
  for (const ResultBuffer* r : {&x_g, &weight_g, &bias_g}) r->store();
}
OSTINATO_KERNEL(layer_norm_backward, layer_norm_backward);

void rms_norm_backward(const OpCall& call, std::span<Tensor> out) {
  const DType dtype = compute_dtype(call.operand(1).dtype());
  const Tensor g = contiguous_as(call.operand(0), dtype);
  const Tensor x = contiguous_as(call.operand(1), dtype);
  const Tensor weight = dense_or_null(call.operand(2), dtype);
  const ResultBuffer x_g(out[0], dtype), weight_g(out[1], dtype);
  const int64_t n = row_length(call);
  for_real(dtype, [&]<class T>(T) {
    const RowFns<T>& fns = row_functions<T>();
    const T* w = data_or_null<const T>(weight);
    const T eps = static_cast<T>(rms_eps(call.attr(1), dtype));
    T* const sums[] = {weight_g.data<T>()};
    for_banded_rows<T>(Bands(count_rows(x, n)), n, 1, sums, [&](int64_t i, T* own) {
      fns.rms_norm_backward(g.data<T>() + i * n, x.data<T>() + i * n, w, eps, x_g.data<T>() + i * n,
                            own, n);
    });
  });
  for (const ResultBuffer* r : {&x_g, &weight_g}) r->store();
}
OSTINATO_KERNEL(rms_norm_backward, rms_norm_backward);

}  // namespace
}  // namespace ostinato
