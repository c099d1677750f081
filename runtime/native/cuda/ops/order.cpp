// The largest or smallest elements along an axis, in order: topk.
#include "cuda/kernels/order.hpp"

#include "cpu/around.hpp"
#include "cpu/copy.hpp"
#include "cuda/ops/arguments.hpp"

namespace ostinato::cuda {
namespace {

KernelName largest[] = {
    {"order", "largest_float32"}, {"order", "largest_float64"}, {"order", "largest_int64"}};
KernelName smallest[] = {
    {"order", "smallest_float32"}, {"order", "smallest_float64"}, {"order", "smallest_int64"}};

void topk(const OpCall& call, std::span<Tensor> out) {
  const Tensor x = contiguous(call.operand(0));
  const ResultBuffer values(out[0], x.dtype()), index(out[1], DType::int64_);
  if (out[0].numel() == 0) return;
  check_size("topk", x.numel());
  const Around at(call, call.attr(1).as_int(), x.sizes());
  const int64_t lines = at.outer * at.inner, k = call.attr(0).as_int();
  const OrderParams p{memory_of(x),
                      memory_of(values.tensor()),
                      index.data<int64_t>(),
                      x.dtype(),
                      static_cast<uint32_t>(lines),
                      static_cast<uint32_t>(at.n),
                      static_cast<uint32_t>(at.inner),
                      static_cast<uint32_t>(k)};
  const int kind = x.dtype() == DType::float64_ ? 1 : is_float(x.dtype()) ? 0 : 2;
  const int device = x.device().index;
  KernelName& kernel = (call.attr(2).as_bool() ? largest : smallest)[kind];
  launch(kernel, device, grid_for(lines * kThreads, device), kThreads, 0, p);
  values.store();
  index.store();
}
OSTINATO_CUDA_KERNEL(topk, topk);

}  // namespace
}  // namespace ostinato::cuda
