// matmul and linear.
#include "core/parallel.hpp"
#include "cpu/by_dtype.hpp"
#include "cpu/copy.hpp"
#include "cpu/gemm.hpp"
#include "cpu/matrices.hpp"
#include "dispatch/op_call.hpp"

namespace ostinato {
namespace {

// `t` in `dtype`, with last axes that BLAS reads.
Tensor as_matrices(const Tensor& t, DType dtype) {
  if (t.dtype() != dtype) return contiguous_as(t, dtype);
  const int n = t.ndim();
  const auto& s = t.strides();
  return suits_blas(t.size(n - 2), t.size(n - 1), s[n - 2], s[n - 1]) ? t : contiguous(t);
}

template <class T>
Matrix<const T> last_matrix(const Tensor& t) {
  const int n = t.ndim();
  return {t.data<const T>(), t.strides()[n - 2], t.strides()[n - 1]};
}

Tensor matrix_of_rows(const Tensor& t, DType dtype) {
  if (t.dtype() == dtype && t.numel() > 0) {
    const Tensor rows = as_rows(t);
    if (rows) return as_matrices(rows, dtype);
  }
  return as_rows(contiguous_as(t, dtype));
}

template <class T>
void multiply_rows(const Tensor& rows, Matrix<const T> b, int64_t n, const T* bias, T* c) {
  Products<T> p{rows.size(0), n, rows.size(1), last_matrix<T>(rows), b, c};
  p.bias = bias;
  multiply(p);
}

// x (..., m, k) by y (..., k, n), both at least 2-d, into the dense `c` of shape `sizes`.
template <class T>
void multiply_batches(const Tensor& x, const Tensor& y, const Sizes& sizes, T* c) {
  const int batch_axes = sizes.ssize() - 2;
  Products<T> p{x.size(-2), y.size(-1), x.size(-1), last_matrix<T>(x), last_matrix<T>(y), c};
  for (int i = 0; i < batch_axes; ++i) {
    if (sizes[i] == 1) continue;
    p.count *= sizes[i];
    p.sizes.push_back(sizes[i]);
    p.a_strides.push_back(batch_stride(x, i, batch_axes));
    p.b_strides.push_back(batch_stride(y, i, batch_axes));
  }
  multiply(p);
}

template <class T>
void real_product(const Tensor& x, const Tensor& y, const Sizes& sizes, T* c) {
  const DType dtype = sizeof(T) == 8 ? DType::float64_ : DType::float32_;
  if (y.ndim() == 2 && x.ndim() > 2) {
    const Tensor b = as_matrices(y, dtype);
    return multiply_rows(matrix_of_rows(x, dtype), last_matrix<T>(b), b.size(1), {}, c);
  }
  multiply_batches(as_matrices(x, dtype), as_matrices(y, dtype), sizes, c);
}

// Integer products wrap: all in 64 bits, cut by whoever stores them.
void integer_product(const Tensor& x, const Tensor& y, const Sizes& sizes, uint64_t* c) {
  const Tensor a = contiguous_as(x, DType::int64_), b = contiguous_as(y, DType::int64_);
  const int batch_axes = sizes.ssize() - 2;
  const int64_t m = x.size(-2), k = x.size(-1), n = y.size(-1);
  int64_t rows = m;
  for (int i = 0; i < batch_axes; ++i) rows *= sizes[i];
  parallel_for(rows, std::max<int64_t>(1, 16384 / (n * k + 1)), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      int64_t left = row / m;
      const uint64_t* at_a = a.data<uint64_t>() + row % m * k;
      const uint64_t* at_b = b.data<uint64_t>();
      for (int i = batch_axes - 1; i >= 0; --i) {
        at_a += left % sizes[i] * batch_stride(a, i, batch_axes);
        at_b += left % sizes[i] * batch_stride(b, i, batch_axes);
        left /= sizes[i];
      }
      std::fill(c + row * n, c + (row + 1) * n, uint64_t{0});
      for (int64_t p = 0; p < k; ++p) {
        for (int64_t j = 0; j < n; ++j) c[row * n + j] += at_a[p] * at_b[p * n + j];
      }
    }
  });
}

bool is_small_matrix(const Tensor& t, DType dtype) {
  return t.ndim() == 2 && t.dtype() == dtype && t.size(0) <= kSmallSide && t.size(1) <= kSmallSide;
}

// Small matrices, whose product takes no longer than the preparations for a large one.
bool small_product(const Tensor& x, const Tensor& y, const Tensor& c) {
  const DType dtype = c.dtype();
  if (size_of(dtype) < 4 || !is_float(dtype) || !c.contiguous()) return false;
  if (!is_small_matrix(x, dtype) || !is_small_matrix(y, dtype)) return false;
  for_real(dtype, [&]<class T>(T) {
    multiply_here(x.size(0), y.size(1), x.size(1), last_matrix<T>(x), last_matrix<T>(y),
                  c.data<T>(), y.size(1), false);
  });
  return true;
}

void matmul(const OpCall& call, std::span<Tensor> out) {
  if (small_product(call.operand(0), call.operand(1), out[0])) return;
  const bool real = is_float(out[0].dtype());
  const DType dtype = real ? compute_dtype(out[0].dtype()) : DType::int64_;
  const ResultBuffer c(out[0], dtype);
  const Factors f(call.operand(0), call.operand(1), out[0].sizes());
  if (!real) {
    integer_product(f.x, f.y, f.sizes, c.data<uint64_t>());
  } else {
    for_real(dtype, [&]<class T>(T) { real_product<T>(f.x, f.y, f.sizes, c.data<T>()); });
  }
  c.store();
}
OSTINATO_KERNEL(matmul, matmul);

void linear(const OpCall& call, std::span<Tensor> out) {
  const DType dtype = compute_dtype(out[0].dtype());
  const ResultBuffer c(out[0], dtype);
  const Tensor rows = matrix_of_rows(call.operand(0), dtype);
  const Tensor weight = as_matrices(call.operand(1), dtype);
  const Tensor bias = call.operand(2) ? contiguous_as(call.operand(2), dtype) : Tensor();
  for_real(dtype, [&]<class T>(T) {
    const Matrix<const T> w = last_matrix<T>(weight);
    multiply_rows<T>(rows, {w.data, w.column, w.row}, weight.size(0),
                     bias ? bias.data<const T>() : nullptr, c.data<T>());
  });
  c.store();
}
OSTINATO_KERNEL(linear, linear);

}  // namespace
}  // namespace ostinato
