// matmul and linear: floats through cuBLASLt, integers by a kernel.
#include "cpu/copy.hpp"
#include "cpu/matrices.hpp"
#include "cuda/axes.hpp"
#include "cuda/blas.hpp"
#include "cuda/context.hpp"
#include "cuda/kernels/product.hpp"
#include "cuda/ops/arguments.hpp"
#include "cuda/stream.hpp"
#include "dispatch/op_table.hpp"
#include "ops.hpp"

namespace ostinato::cuda {
namespace {

constexpr int64_t kMostCalls = 8;  // for which batches that do not merge are not copied

KernelName product_int64{"product", "product_int64"};

// How the last two axes of `t` lie for cuBLASLt; false where they do not.
bool as_side(const Tensor& t, blas::Side& side) {
  const int n = t.ndim();
  const int64_t rows = t.size(n - 2), columns = t.size(n - 1);
  const int64_t down = t.strides()[n - 2], across = t.strides()[n - 1];
  if ((across == 1 || columns == 1) && (rows == 1 || down >= columns)) {
    side = {rows == 1 ? columns : down, 0, false};
    return true;
  }
  if ((down == 1 || rows == 1) && (columns == 1 || across >= rows)) {
    side = {columns == 1 ? rows : across, 0, true};
    return true;
  }
  return false;
}

Tensor readable(const Tensor& t) {
  blas::Side side;
  return as_side(t, side) ? t : contiguous(t);
}

// Leading axes of a product that are longer than 1, outermost first; strides in elements.
struct Batch {
  Sizes sizes, a, b;

  Batch(const Tensor& x, const Tensor& y, const Sizes& result) {
    const int axes = result.ssize() - 2;
    for (int i = 0; i < axes; ++i) {
      if (result[i] == 1) continue;
      sizes.push_back(result[i]);
      a.push_back(batch_stride(x, i, axes));
      b.push_back(batch_stride(y, i, axes));
    }
  }

  // The first of the innermost axes that are one for both operands.
  int first_merged() const {
    int i = sizes.ssize() - 1;
    while (i > 0 && merges(a, i) && merges(b, i)) --i;
    return std::max(i, 0);
  }
  bool is_one(const Sizes& strides) const {
    for (int i = 1; i < sizes.ssize(); ++i) {
      if (!merges(strides, i)) return false;
    }
    return true;
  }
  int64_t count(int first, int last) const {
    int64_t n = 1;
    for (int i = first; i < last; ++i) n *= sizes[i];
    return n;
  }

 private:
  bool merges(const Sizes& strides, int i) const { return strides[i - 1] == strides[i] * sizes[i]; }
};

// Queues a product; returns whether the bias is in it.
bool run(const blas::Shape& shape, const blas::Operands& operands, const Tensor& c) {
  const int device = c.device().index;
  use_device(device);
  blas::Plan& plan = blas::plan_for(shape, operands, device);
  const size_t bytes = blas::workspace_bytes(plan);
  Tensor workspace;
  if (bytes > 0) workspace = empty({static_cast<int64_t>(bytes)}, DType::uint8_, c.device());
  void* const room = bytes > 0 ? workspace.bytes() : nullptr;
  blas::product(plan, operands, {room, bytes}, current_handle(device));
  return blas::adds_bias(plan);
}

const std::byte* at(const Tensor& t, int64_t offset) {
  return t.bytes() + offset * static_cast<int64_t>(size_of(t.dtype()));
}

// `x` (..., m, k) with its leading axes as those of the result `sizes`, dense.
Tensor spread(const Tensor& x, const Sizes& sizes) {
  const int axes = sizes.ssize() - 2;
  Sizes full(sizes.begin(), sizes.begin() + axes), strides;
  for (int i = 0; i < axes; ++i) strides.push_back(batch_stride(x, i, axes));
  for (int i = x.ndim() - 2; i < x.ndim(); ++i) {
    full.push_back(x.size(i));
    strides.push_back(x.strides()[i]);
  }
  return contiguous(as_view(x, std::move(full), std::move(strides), x->offset));
}

// x (..., m, k) by y (..., k, n) into the dense c of shape `sizes`.
void real_product(Tensor x, Tensor y, const Sizes& sizes, const Tensor& c) {
  Batch batch(x, y, sizes);
  int first = batch.first_merged();
  if (batch.count(0, first) > kMostCalls) {
    if (!batch.is_one(batch.a)) x = spread(x, sizes);
    if (!batch.is_one(batch.b)) y = spread(y, sizes);
    batch = Batch(x, y, sizes);
    first = batch.first_merged();
  }
  blas::Shape shape{x.size(-2), y.size(-1), x.size(-1), 1, {}, {}, y.size(-1), 0, c.dtype(), false};
  as_side(x, shape.a);
  as_side(y, shape.b);
  shape.c_batch = shape.m * shape.n;
  if (!batch.sizes.empty()) {
    shape.count = batch.count(first, batch.sizes.ssize());
    shape.a.batch = batch.a.back();
    shape.b.batch = batch.b.back();
  }
  const int64_t calls = batch.count(0, first);
  for (int64_t call = 0; call < calls; ++call) {
    int64_t rest = call, a = 0, b = 0;
    for (int i = first - 1; i >= 0; --i) {
      a += rest % batch.sizes[i] * batch.a[i];
      b += rest % batch.sizes[i] * batch.b[i];
      rest /= batch.sizes[i];
    }
    std::byte* const to = const_cast<std::byte*>(at(c, call * shape.count * shape.c_batch));
    run(shape, {at(x, a), at(y, b), nullptr, to}, c);
  }
}

void integer_product(const Tensor& x, const Tensor& y, const Sizes& sizes, const Tensor& c) {
  check_size("matmul", c.numel());
  const int axes = sizes.ssize() - 2;
  const int64_t x_item = static_cast<int64_t>(size_of(x.dtype()));
  const int64_t y_item = static_cast<int64_t>(size_of(y.dtype()));
  ProductParams p;
  p.a_batch.count = p.b_batch.count = 0;
  for (int i = axes - 1; i >= 0; --i) {
    const bool fits = add_axis(p.a_batch, sizes[i], batch_stride(x, i, axes) * x_item) &&
                      add_axis(p.b_batch, sizes[i], batch_stride(y, i, axes) * y_item);
    if (!fits) return integer_product(spread(x, sizes), spread(y, sizes), sizes, c);
  }
  p.a = reinterpret_cast<const char*>(x.bytes());
  p.b = reinterpret_cast<const char*>(y.bytes());
  p.c = reinterpret_cast<char*>(c.bytes());
  p.a_dtype = x.dtype();
  p.b_dtype = y.dtype();
  p.c_dtype = c.dtype();
  p.count = static_cast<uint32_t>(c.numel());
  p.m = static_cast<uint32_t>(x.size(-2));
  p.n = static_cast<uint32_t>(y.size(-1));
  p.k = static_cast<uint32_t>(x.size(-1));
  p.a_row = x.strides()[x.ndim() - 2] * x_item;
  p.a_column = x.strides()[x.ndim() - 1] * x_item;
  p.b_row = y.strides()[y.ndim() - 2] * y_item;
  p.b_column = y.strides()[y.ndim() - 1] * y_item;
  launch(product_int64, c.device().index, {(p.count + kThreads - 1) / kThreads}, kThreads, 0, p);
}

void matmul(const OpCall& call, std::span<Tensor> out) {
  if (out[0].numel() == 0) return;
  const ResultBuffer c(out[0], out[0].dtype());
  auto [x, y, sizes] = Factors(call.operand(0), call.operand(1), out[0].sizes());
  if (x.size(-1) == 0) {
    copy_into(c.tensor(), number(int64_t{0}));
  } else if (!is_float(c.tensor().dtype())) {
    integer_product(x, y, sizes, c.tensor());
  } else {
    if (y.ndim() == 2 && x.ndim() > 2) {
      const Tensor rows = as_rows(x);
      x = rows ? rows : as_rows(contiguous(x));
      sizes = {x.size(0), y.size(1)};
    }
    real_product(readable(x), readable(y), sizes, c.tensor());
  }
  c.store();
}
OSTINATO_CUDA_KERNEL(matmul, matmul);

void add_in_place(const Tensor& c, const Tensor& bias) {
  const Tensor operands[] = {c, bias};
  Tensor result = c;
  run_pointwise_op({&op_info(op::add), operands, {}}, {&result, 1});
}

// rows (m, k) by weight (n, k) transposed.
void rows_by_weight(const Tensor& rows, const Tensor& weight, const Tensor& bias, const Tensor& c) {
  const int64_t n = weight.size(0);
  blas::Shape shape{rows.size(0),           n, rows.size(1), 1, {}, {}, n, 0, c.dtype(),
                    static_cast<bool>(bias)};
  as_side(rows, shape.a);
  as_side(weight, shape.b);
  shape.b.transposed = !shape.b.transposed;
  const blas::Operands operands{rows.bytes(), weight.bytes(), bias ? bias.bytes() : nullptr,
                                c.bytes()};
  if (!run(shape, operands, c) && bias) add_in_place(c, bias);
}

void linear(const OpCall& call, std::span<Tensor> out) {
  if (out[0].numel() == 0) return;
  const Tensor& x = call.operand(0);
  const Tensor bias = call.operand(2) ? contiguous(call.operand(2)) : Tensor();
  const ResultBuffer c(out[0], out[0].dtype());
  if (x.size(-1) == 0) {
    copy_into(c.tensor(), bias ? bias : number(int64_t{0}));
  } else {
    const Tensor rows = as_rows(x);
    rows_by_weight(readable(rows ? rows : as_rows(contiguous(x))), readable(call.operand(1)), bias,
                   c.tensor());
  }
  c.store();
}
OSTINATO_CUDA_KERNEL(linear, linear);

}  // namespace
}  // namespace ostinato::cuda
