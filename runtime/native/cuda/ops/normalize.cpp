// layer_norm and rms_norm over the last axes, and their gradients.
#include "cpu/copy.hpp"
#include "cpu/rows.hpp"
#include "cuda/ops/rows.hpp"

namespace ostinato::cuda {
namespace {

RowKernels layer_norms OSTINATO_ROW_KERNELS("normalize", "layer_norm");
RowKernels rms_norms OSTINATO_ROW_KERNELS("normalize", "rms_norm");
RowKernels layer_gradients OSTINATO_ROW_KERNELS("normalize", "layer_norm_backward");
RowKernels rms_gradients OSTINATO_ROW_KERNELS("normalize", "rms_norm_backward");
KernelName slopes[] = {{"normalize", "norm_slopes_float32"}, {"normalize", "norm_slopes_float64"}};
KernelName sums[] = {{"normalize", "norm_sums_float32"}, {"normalize", "norm_sums_float64"}};

constexpr int64_t kSlopeBlocks = 512;  // enough to fill a GPU; fixed, so that sums are
constexpr int64_t kSlopePart = 64;     // rows that a block adds up at least

int64_t row_length(const OpCall& call) { return product(call.attr(0).as_sizes()); }

Tensor dense_operand(const Tensor& t) { return t ? contiguous(t) : Tensor(); }

void normalize(const OpCall& call, const Tensor& result, RowKernels& kernels, const Tensor& bias,
               double eps) {
  const Tensor x = contiguous(call.operand(0)), weight = dense_operand(call.operand(1));
  const ResultBuffer y(result, result.dtype());
  if (x.numel() == 0) return;
  const Tensor tensors[] = {x, weight, bias, y.tensor()};
  NormParams p{};
  p.rows = rows_of(call.op->name, tensors, row_length(call));
  p.x = dense(x);
  p.weight = dense(weight);
  p.bias = dense(bias);
  p.y = dense(y.tensor());
  p.eps = eps;
  launch_rows(kernels, compute_dtype(result.dtype()), p, x.device().index);
  y.store();
}

void layer_norm(const OpCall& call, std::span<Tensor> out) {
  normalize(call, out[0], layer_norms, dense_operand(call.operand(2)), call.attr(1).as_double());
}
OSTINATO_CUDA_KERNEL(layer_norm, layer_norm);

void rms_norm(const OpCall& call, std::span<Tensor> out) {
  const double eps = rms_eps(call.attr(1), compute_dtype(out[0].dtype()));
  normalize(call, out[0], rms_norms, Tensor(), eps);
}
OSTINATO_CUDA_KERNEL(rms_norm, rms_norm);

// The gradients of weight and bias (null for none), from what the kernels of rows have left.
void add_slopes(SlopeParams p, DType compute, Device device) {
  const int64_t across = (p.n + kSlopeColumns - 1) / kSlopeColumns;
  const int64_t wanted =
      std::min((kSlopeBlocks + across - 1) / across, int64_t{p.rows} / kSlopePart);
  const int64_t splits = std::max<int64_t>(1, wanted);
  p.part = static_cast<uint32_t>((p.rows + splits - 1) / splits);
  p.splits = p.rows == 0 ? 1 : (p.rows + p.part - 1) / p.part;
  Tensor room;
  if (p.splits > 1) {
    room = empty({int64_t{p.splits} * 2 * p.n}, compute, device);
    p.sums = memory_of(room);
  }
  const int wide = compute == DType::float64_;
  void* arguments[] = {&p};
  launch(slopes[wide].on(device.index), device.index, {static_cast<uint32_t>(across), p.splits},
         {kSlopeColumns, kSlopeRows}, 0, arguments);
  if (p.splits == 1) return;
  launch(sums[wide].on(device.index), device.index, {(p.n + kThreads - 1) / kThreads, 2},
         {kThreads}, 0, arguments);
}

void backward(const OpCall& call, std::span<Tensor> out, RowKernels& kernels, double eps) {
  const Tensor g = contiguous(call.operand(0)), x = contiguous(call.operand(1));
  const Tensor weight = dense_operand(call.operand(2));
  const DType compute = compute_dtype(x.dtype());
  const ResultBuffer x_g(out[0], out[0].dtype()), weight_g(out[1], out[1].dtype());
  const bool has_bias = out.size() > 2;
  const ResultBuffer bias_g(has_bias ? out[2] : weight_g.tensor(), out[1].dtype());
  if (out[1].numel() == 0) return;
  const Tensor tensors[] = {x, g, weight, x_g.tensor()};
  NormParams p{};
  p.rows = rows_of(call.op->name, tensors, row_length(call));
  const Tensor statistics = empty({p.rows.rows, 2}, compute, x.device());
  p.x = dense(x);
  p.g = dense(g);
  p.weight = dense(weight);
  p.x_g = dense(x_g.tensor());
  p.statistics = memory_of(statistics);
  p.eps = eps;
  launch_rows(kernels, compute, p, x.device().index);
  SlopeParams s{};
  s.rows = p.rows.rows;
  s.n = p.rows.n;
  s.g = p.g;
  s.x = p.x;
  s.weight_g = dense(weight_g.tensor());
  s.bias_g = dense(has_bias ? bias_g.tensor() : Tensor());
  s.statistics = p.statistics;
  add_slopes(s, compute, x.device());
  x_g.store();
  weight_g.store();
  if (has_bias) bias_g.store();
}

void layer_norm_backward(const OpCall& call, std::span<Tensor> out) {
  backward(call, out, layer_gradients, call.attr(1).as_double());
}
OSTINATO_CUDA_KERNEL(layer_norm_backward, layer_norm_backward);

void rms_norm_backward(const OpCall& call, std::span<Tensor> out) {
  const double eps = rms_eps(call.attr(1), compute_dtype(call.operand(1).dtype()));
  backward(call, out, rms_gradients, eps);
}
OSTINATO_CUDA_KERNEL(rms_norm_backward, rms_norm_backward);

}  // namespace
}  // namespace ostinato::cuda
