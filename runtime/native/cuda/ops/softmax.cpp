// softmax and log_softmax along any axis.
#include "cpu/copy.hpp"
#include "cpu/reduce.hpp"
#include "cpu/rows.hpp"
#include "cuda/ops/rows.hpp"
#include "dispatch/shape_rules.hpp"

namespace ostinato::cuda {
namespace {

RowKernels softmax_kernels OSTINATO_ROW_KERNELS("softmax", "softmax");
RowKernels log_softmax_kernels OSTINATO_ROW_KERNELS("softmax", "log_softmax");

void map_rows(const OpCall& call, const Tensor& result, RowKernels& kernels) {
  const Tensor& given = call.operand(0);
  const int axis = axis_of(call.op->name, call.attr(0).as_int(), given.ndim(), given.sizes());
  if (given.numel() == 0) return;
  const Sizes marks = mark_axis(given.ndim(), axis);
  const Tensor x = contiguous(reduced_last(given, marks));
  const ResultBuffer y(reduced_last(result, marks), result.dtype());
  const Tensor tensors[] = {x, y.tensor()};
  const int64_t n = given.ndim() > 0 ? given.size(axis) : 1;
  const SoftmaxParams p{rows_of(call.op->name, tensors, n), dense(x), dense(y.tensor())};
  launch_rows(kernels, compute_dtype(x.dtype()), p, x.device().index);
  y.store();
}

void softmax(const OpCall& call, std::span<Tensor> out) { map_rows(call, out[0], softmax_kernels); }
OSTINATO_CUDA_KERNEL(softmax, softmax);

void log_softmax(const OpCall& call, std::span<Tensor> out) {
  map_rows(call, out[0], log_softmax_kernels);
}
OSTINATO_CUDA_KERNEL(log_softmax, log_softmax);

}  // namespace
}  // namespace ostinato::cuda
