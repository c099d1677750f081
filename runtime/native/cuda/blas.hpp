// Matrix products on CUDA devices, through cuBLASLt.
#pragma once
#include <cuda.h>

#include <cstddef>
#include <cstdint>

#include "core/dtype.hpp"

namespace ostinato::cuda::blas {

// What float32 products may round their operands to, by the names of
// ot.set_float32_matmul_precision: `highest` nothing, the others TF32.
enum class Precision : uint8_t { highest, high, medium };
void set_float32_precision(Precision precision);
Precision float32_precision();

// A matrix of a product: element (i, j) lies at i * leading + j, or at j * leading + i where it
// is `transposed`; `batch` is from one product to the next, 0 for all alike.
struct Side {
  int64_t leading;
  int64_t batch;
  bool transposed;
  bool operator==(const Side&) const = default;
};

// `count` products c (m, n) = a (m, k) b (k, n), c row by row, all of `dtype`: float32, float64,
// float16 or bfloat16. With `bias` a vector of n is added to each row.
struct Shape {
  int64_t m, n, k;
  int64_t count;
  Side a, b;
  int64_t c_leading, c_batch;
  DType dtype;
  bool bias;
  bool operator==(const Shape&) const = default;
};

struct Operands {
  const void* a;
  const void* b;
  const void* bias;
  void* c;
};

struct Workspace {
  void* data;
  size_t bytes;
};

// The algorithm for a shape and the alignments of its operands, chosen once for each thread: the
// reference is for this thread.
class Plan;
Plan& plan_for(const Shape& shape, const Operands& operands, int device);
// Whether the product adds the bias; where not, the caller does.
bool adds_bias(const Plan& plan);
size_t workspace_bytes(const Plan& plan);
// Queues the product of operands that the plan is for; the workspace has `workspace_bytes`.
// Allocates nothing, so that it may be captured into a graph.
void product(Plan& plan, const Operands& operands, Workspace workspace, CUstream stream);

}  // namespace ostinato::cuda::blas
