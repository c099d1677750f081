// Tensors from numbers: full, iota, one_hot; and triangles of matrices.
#include "cuda/kernels/create.hpp"

#include "cpu/copy.hpp"
#include "cuda/ops/arguments.hpp"
#include "dispatch/op_call.hpp"

namespace ostinato::cuda {
namespace {

KernelName iota_int64{"create", "iota_int64"}, iota_float64{"create", "iota_float64"};
KernelName one_hot_kernel{"create", "one_hot"};
KernelName triangles[] = {{"create", "triangle_1"},
                          {"create", "triangle_2"},
                          {"create", "triangle_4"},
                          {"create", "triangle_8"}};

void iota(const OpCall& call, std::span<Tensor> out) {
  const Tensor &start = call.operand(0), &step = call.operand(1);
  const ResultBuffer y(out[0], out[0].dtype());
  const int64_t n = out[0].numel();
  if (n == 0) return;
  check_size("iota", n);
  const bool real = is_float(start.dtype()) || is_float(step.dtype());
  const DType wide = real ? DType::float64_ : DType::int64_;
  const IotaParams p{memory_of(y.tensor()), out[0].dtype(), static_cast<uint32_t>(n),
                     argument_of(start, wide), argument_of(step, wide)};
  const int device = out[0].device().index;
  launch(real ? iota_float64 : iota_int64, device, grid_for(n, device), kThreads, 0, p);
  y.store();
}
OSTINATO_CUDA_KERNEL(iota, iota);

void one_hot(const OpCall& call, std::span<Tensor> out) {
  const Tensor index = contiguous(call.operand(0));
  const ResultBuffer y(out[0], out[0].dtype());
  const int64_t n = out[0].numel();
  if (n == 0) return;
  check_size("one_hot", n);
  const OneHotParams p{
      memory_of(index), memory_of(y.tensor()),    index.dtype(),
      out[0].dtype(),   static_cast<uint32_t>(n), static_cast<uint32_t>(call.attr(0).as_int())};
  const int device = out[0].device().index;
  launch(one_hot_kernel, device, grid_for(n, device), kThreads, 0, p);
  y.store();
}
OSTINATO_CUDA_KERNEL(one_hot, one_hot);

void keep_triangle(const OpCall& call, const Tensor& result, bool upper) {
  const Tensor x = contiguous(call.operand(0));
  const ResultBuffer y(result, x.dtype());
  const int64_t n = x.numel();
  if (n == 0) return;
  check_size(call.op->name, n);
  const TriangleParams p{memory_of(x),
                         memory_of(y.tensor()),
                         static_cast<uint32_t>(n),
                         static_cast<uint32_t>(x.size(-2)),
                         static_cast<uint32_t>(x.size(-1)),
                         call.attr(0).as_int(),
                         upper};
  const int device = result.device().index;
  launch(triangles[by_size(size_of(x.dtype()))], device, grid_for(n, device), kThreads, 0, p);
  y.store();
}

void tril(const OpCall& call, std::span<Tensor> out) { keep_triangle(call, out[0], false); }
OSTINATO_CUDA_KERNEL(tril, tril);

void triu(const OpCall& call, std::span<Tensor> out) { keep_triangle(call, out[0], true); }
OSTINATO_CUDA_KERNEL(triu, triu);

}  // namespace
}  // namespace ostinato::cuda
