// Running sums along an axis.
#include "cpu/around.hpp"
#include "cpu/copy.hpp"
#include "cuda/kernels/sort.hpp"
#include "cuda/ops/arguments.hpp"

namespace ostinato::cuda {
namespace {

KernelName rows[] = {
    {"scan", "scan_rows_float32"}, {"scan", "scan_rows_float64"}, {"scan", "scan_rows_int64"}};
KernelName columns[] = {{"scan", "scan_columns_float32"},
                        {"scan", "scan_columns_float64"},
                        {"scan", "scan_columns_int64"}};

void cumsum(const OpCall& call, std::span<Tensor> out) {
  const Tensor x = contiguous(call.operand(0));
  const ResultBuffer y(out[0], out[0].dtype());
  if (x.numel() == 0) return;
  check_size("cumsum", x.numel());
  const auto [outer, n, inner] = Around(call, call.attr(0).as_int(), x.sizes());
  const ScanParams p{memory_of(x),
                     memory_of(y.tensor()),
                     x.dtype(),
                     out[0].dtype(),
                     static_cast<uint32_t>(outer),
                     static_cast<uint32_t>(n),
                     static_cast<uint32_t>(inner)};
  const int kind = x.dtype() == DType::float64_ ? 1 : is_float(x.dtype()) ? 0 : 2;
  const int device = x.device().index;
  if (inner == 1) {
    launch(rows[kind], device, grid_for(outer * kThreads, device), kThreads, 0, p);
  } else {
    launch(columns[kind], device, grid_for(outer * inner, device), kThreads, 0, p);
  }
  y.store();
}
OSTINATO_CUDA_KERNEL(cumsum, cumsum);

}  // namespace
}  // namespace ostinato::cuda
