// Sorting, and what is drawn by it: randperm; multinomial.
#include "cuda/ops/sort.hpp"

#include "cpu/copy.hpp"
#include "cuda/failure.hpp"
#include "cuda/kernels/draw.hpp"
#include "cuda/kernels/sort.hpp"
#include "cuda/ops/arguments.hpp"
#include "cuda/ops/random.hpp"
#include "dispatch/op_call.hpp"

namespace ostinato::cuda {
namespace {

KernelName count_kernel{"sort", "sort_count"};
KernelName offsets_kernel{"sort", "sort_offsets"};
KernelName move_kernel{"sort", "sort_move"};
KernelName again_kernel{"draw", "draw_again"};
KernelName once_kernel{"draw", "draw_once"};

uint32_t* words(const Tensor& t) { return reinterpret_cast<uint32_t*>(t.bytes()); }

}  // namespace

Sorted sort(const Tensor& keys, int bits) {
  const Device place = keys.device();
  const int64_t n = keys.numel();
  const auto room = [&](int64_t count) { return empty({count}, DType::int32_, place); };
  Tensor from = keys, to = room(n), numbers, numbers_to = room(n);
  SortParams p{};
  p.count = static_cast<uint32_t>(n);
  p.blocks = (p.count + kSortTile - 1) / kSortTile;
  const Tensor table = room(int64_t{kDigits} * p.blocks);
  p.table = words(table);
  for (int done = 0; done == 0 || done < bits; done += 8) {
    p.keys = words(from);
    p.numbers = numbers ? words(numbers) : nullptr;
    p.keys_to = words(to);
    p.numbers_to = words(numbers_to);
    p.shift = static_cast<uint32_t>(done);
    launch(count_kernel, place.index, {p.blocks}, kThreads, 0, p);
    launch(offsets_kernel, place.index, {1}, kThreads, 0, p);
    launch(move_kernel, place.index, {p.blocks}, kThreads, 0, p);
    std::swap(from, to);
    std::swap(numbers, numbers_to);
    if (!numbers_to && done + 8 < bits) numbers_to = room(n);
  }
  return {from, numbers};
}

namespace {

void randperm(const OpCall& call, std::span<Tensor> out) {
  const int64_t n = out[0].numel();
  if (n == 0) return;
  check_size("randperm", n);
  copy_into(out[0], sort(random_lanes(call.operand(0), n, out[0].device()), 32).numbers);
}
OSTINATO_CUDA_KERNEL(randperm, randperm);

void multinomial(const OpCall& call, std::span<Tensor> out) {
  const Tensor weights = contiguous(call.operand(0));
  const int64_t samples = call.attr(0).as_int(), n = weights.size(-1);
  const bool replacement = call.attr(1).as_bool();
  const ResultBuffer y(out[0], DType::int64_);
  if (out[0].numel() == 0) return;
  check_size("multinomial", std::max(weights.numel(), out[0].numel()));
  const Device place = out[0].device();
  const int64_t rows = weights.numel() / n, drawn = replacement ? samples : n;
  const Tensor lanes = random_lanes(call.operand(1), rows * drawn, place);
  const Tensor room = empty({rows, n}, DType::float64_, place);
  const DrawParams p{memory_of(weights),
                     weights.dtype(),
                     words(lanes),
                     room.data<double>(),
                     y.data<int64_t>(),
                     static_cast<uint32_t>(rows),
                     static_cast<uint32_t>(n),
                     static_cast<uint32_t>(samples),
                     static_cast<uint32_t>(replacement ? 1 : samples),
                     failure_of(place.index),
                     call.op->id + 1u};
  launch(replacement ? again_kernel : once_kernel, place.index, {p.rows}, kThreads, 0, p);
  y.store();
}
OSTINATO_CUDA_KERNEL(multinomial, multinomial);

}  // namespace
}  // namespace ostinato::cuda
