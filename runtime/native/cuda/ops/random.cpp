// rand, randn, randint, dropout, rng_advance.
#include "cpu/random.hpp"

#include "cpu/checks.hpp"
#include "cpu/copy.hpp"
#include "cuda/ops/arguments.hpp"
#include "cuda/ops/random.hpp"
#include "dispatch/op_call.hpp"

namespace ostinato::cuda {

void set_state(RandomParams& p, const Tensor& rng, Tensor& kept) {
  p.state = nullptr;
  if (rng.device().is_cpu()) {
    const RandomState state = random_state(rng);
    p.seed = state.seed;
    p.offset = state.offset;
    return;
  }
  kept = contiguous_as(rng, DType::int64_);
  p.state = kept.data<uint64_t>();
}

namespace {

KernelName rand_kernels[] = {{"random", "rand_float32"}, {"random", "rand_float64"}};
KernelName randn_kernels[] = {{"random", "randn_float32"}, {"random", "randn_float64"}};
KernelName dropout_kernels[] = {{"random", "dropout_float32"}, {"random", "dropout_float64"}};
KernelName randint_kernel{"random", "randint"};
KernelName lanes_kernel{"random", "random_lanes"};
KernelName advance_kernel{"random", "rng_advance"};

// Runs a kernel that fills dense `to`.
void fill(KernelName& kernel, const char* op, RandomParams& p, const Tensor& rng,
          const Tensor& to) {
  const int64_t n = to.numel();
  if (n == 0) return;
  check_size(op, n);
  Tensor kept;
  set_state(p, rng, kept);
  p.to = memory_of(to);
  p.to_dtype = to.dtype();
  p.count = static_cast<uint32_t>(n);
  const int device = to.device().index;
  launch(kernel, device, grid_for((n + 3) / 4, device), kThreads, 0, p);
}

void rand(const OpCall& call, std::span<Tensor> out) {
  const ResultBuffer y(out[0], out[0].dtype());
  RandomParams p;
  p.bits = uniform_bits(out[0].dtype());
  fill(rand_kernels[out[0].dtype() == DType::float64_], "rand", p, call.operand(0), y.tensor());
  y.store();
}
OSTINATO_CUDA_KERNEL(rand, rand);

void randn(const OpCall& call, std::span<Tensor> out) {
  const ResultBuffer y(out[0], out[0].dtype());
  RandomParams p;
  fill(randn_kernels[out[0].dtype() == DType::float64_], "randn", p, call.operand(0), y.tensor());
  y.store();
}
OSTINATO_CUDA_KERNEL(randn, randn);

void randint(const OpCall& call, std::span<Tensor> out) {
  const ResultBuffer y(out[0], out[0].dtype());
  RandomParams p;
  p.low = call.attr(0).as_int();
  p.span = check_span(p.low, call.attr(1).as_int());
  fill(randint_kernel, "randint", p, call.operand(0), y.tensor());
  y.store();
}
OSTINATO_CUDA_KERNEL(randint, randint);

bool is_aligned(const Tensor& t) {
  return reinterpret_cast<uint64_t>(t.bytes()) % (size_of(t.dtype()) * kVector) == 0;
}

void dropout(const OpCall& call, std::span<Tensor> out) {
  if (!call.attr(0).as_bool()) return copy_into(out[0], call.operand(0));
  const Tensor x = contiguous(call.operand(0));
  const ResultBuffer y(out[0], out[0].dtype());
  RandomParams p;
  p.from = memory_of(x);
  p.from_dtype = x.dtype();
  p.p = call.operand(1).item_double();
  p.is_vectorised = is_aligned(x) && is_aligned(y.tensor());
  fill(dropout_kernels[x.dtype() == DType::float64_], "dropout", p, call.operand(2), y.tensor());
  y.store();
}
OSTINATO_CUDA_KERNEL(dropout, dropout);

void rng_advance(const OpCall& call, std::span<Tensor> out) {
  const ResultBuffer next(out[0], DType::int64_);
  RandomParams p;
  Tensor kept;
  set_state(p, call.operand(0), kept);
  p.to = memory_of(next.tensor());
  p.drawn = call.attr(0).as_int();
  launch(advance_kernel, out[0].device().index, {1}, 1, 0, p);
  next.store();
}
OSTINATO_CUDA_KERNEL(rng_advance, rng_advance);

}  // namespace

Tensor random_lanes(const Tensor& rng, int64_t count, Device device) {
  const Tensor lanes = empty({count}, DType::int32_, device);
  RandomParams p;
  fill(lanes_kernel, "random lanes", p, rng, lanes);
  return lanes;
}

}  // namespace ostinato::cuda
