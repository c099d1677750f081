// The cross-entropy loss of class scores, and its gradient.
#include "cpu/copy.hpp"
#include "cpu/reduce.hpp"
#include "cpu/rows.hpp"
#include "cuda/failure.hpp"
#include "cuda/ops/rows.hpp"

namespace ostinato::cuda {
namespace {

RowKernels losses_of OSTINATO_ROW_KERNELS("cross_entropy", "cross_entropy");
RowKernels gradients_of OSTINATO_ROW_KERNELS("cross_entropy", "cross_entropy_backward");
KernelName totals[] = {{"cross_entropy", "total_loss_float32"},
                       {"cross_entropy", "total_loss_float64"}};

int class_axis(const Tensor& input) { return input.ndim() > 1 ? 1 : 0; }

// Scores as dense rows of classes, and the class wanted of each row.
struct Classes {
  Tensor scores, target;
  DType compute;
  int64_t n;
  bool mean, each;  // the reduction; neither is a sum
  int device;

  Classes(const Tensor& input, const Tensor& targets, const Attr& reduction)
      : target(contiguous(targets)),
        compute(compute_dtype(input.dtype())),
        n(input.size(class_axis(input))),
        mean(reduction.as_string() == "mean"),
        each(reduction.as_string() == "none"),
        device(input.device().index) {
    scores = contiguous(reduced_last(input, mark_axis(input.ndim(), class_axis(input))));
  }

  CrossEntropyParams params(const OpCall& call, std::span<const Tensor> rows) const {
    CrossEntropyParams p{};
    p.rows = rows_of(call.op->name, rows, n);
    check_size(call.op->name, target.numel());
    p.rows.rows = static_cast<uint32_t>(target.numel());  // without classes there are rows too
    p.x = dense(scores);
    p.target = dense(target);
    p.ignored = call.attr(0).as_int();
    p.smoothing = call.attr(2).as_double();
    p.failure = failure_of(device);
    p.op = call.op->id + 1u;
    return p;
  }

  // The sum or mean of `losses`; where there are none, how many targets count.
  void total(const Tensor& losses, int64_t ignored, const Tensor& result) const {
    const LossParams p{static_cast<uint32_t>(target.numel()),
                       dense(losses),
                       dense(target),
                       dense(result),
                       ignored,
                       mean};
    launch(totals[compute == DType::float64_], device, {1}, kThreads, 0, p);
  }
};

void cross_entropy(const OpCall& call, std::span<Tensor> out) {
  const Classes c(call.operand(0), call.operand(1), call.attr(1));
  const ResultBuffer result(out[0], out[0].dtype());
  const Tensor losses =
      c.each ? result.tensor() : empty({c.target.numel()}, c.compute, out[0].device());
  const Tensor tensors[] = {c.scores};
  CrossEntropyParams p = c.params(call, tensors);
  p.y = dense(losses);
  launch_rows(losses_of, c.compute, p, c.device);
  if (!c.each) c.total(losses, p.ignored, result.tensor());
  result.store();
}
OSTINATO_CUDA_KERNEL(cross_entropy, cross_entropy);

void cross_entropy_backward(const OpCall& call, std::span<Tensor> out) {
  const Classes c(call.operand(1), call.operand(2), call.attr(1));
  const Tensor g = contiguous(call.operand(0));
  const Sizes marks = mark_axis(out[0].ndim(), class_axis(out[0]));
  const ResultBuffer x_g(reduced_last(out[0], marks), out[0].dtype());
  const Tensor tensors[] = {c.scores, x_g.tensor()};
  CrossEntropyParams p = c.params(call, tensors);
  p.g = argument_of(g, DType::float64_);
  p.g_step = c.each ? static_cast<int64_t>(size_of(g.dtype())) : 0;
  p.x_g = dense(x_g.tensor());
  Tensor counted;
  if (c.mean) {
    counted = empty({1}, c.compute, out[0].device());
    c.total(Tensor(), p.ignored, counted);
    p.counted = memory_of(counted);
  }
  launch_rows(gradients_of, c.compute, p, c.device);
  x_g.store();
}
OSTINATO_CUDA_KERNEL(cross_entropy_backward, cross_entropy_backward);

}  // namespace
}  // namespace ostinato::cuda
