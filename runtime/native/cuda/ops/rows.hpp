// Tensors as the dense rows that kernels work on.
#pragma once
#include "cuda/kernels/rows.hpp"
#include "cuda/ops/arguments.hpp"

namespace ostinato::cuda {

// A kernel for rows that fit in registers and those for rows of any length.
struct RowKernels {
  KernelName held, any_float32, any_float64;

  KernelName& choose(const Rows& rows, DType compute) {
    if (compute == DType::float64_) return any_float64;
    return rows.n <= kHeld * kVector * rows.lanes ? held : any_float32;
  }
};
#define OSTINATO_ROW_KERNELS(LIBRARY, NAME) \
  {{LIBRARY, NAME "_float32"}, {LIBRARY, NAME "_long_float32"}, {LIBRARY, NAME "_long_float64"}}

inline Dense dense(const Tensor& t) {
  return t ? Dense{memory_of(t), t.dtype()} : Dense{nullptr, DType::float32_};
}

// Rows of n elements of dense tensors of which the first has all of them; weights repeat for each
// row. Absent ones are null.
inline Rows rows_of(const char* op, std::span<const Tensor> tensors, int64_t n) {
  const int64_t all = tensors[0].numel();
  check_size(op, all);
  Rows made{static_cast<uint32_t>(n == 0 ? 0 : all / n), static_cast<uint32_t>(n), 0, false};
  made.lanes = n <= kHeld * kVector * 32 ? 32 : kThreads;
  made.is_vectorised = n % kVector == 0;
  for (const Tensor& t : tensors) {
    if (!t) continue;
    const uint64_t item = size_of(t.dtype());
    const uint64_t together = std::min<uint64_t>(16, item * kVector);
    made.is_vectorised &= reinterpret_cast<uint64_t>(t.bytes()) % together == 0;
  }
  return made;
}

template <class Params>
void launch_rows(RowKernels& kernels, DType compute, const Params& p, int device) {
  if (p.rows.rows == 0) return;
  const uint32_t together = kThreads / p.rows.lanes;
  launch(kernels.choose(p.rows, compute), device, {(p.rows.rows + together - 1) / together},
         kThreads, 0, p);
}

}  // namespace ostinato::cuda
