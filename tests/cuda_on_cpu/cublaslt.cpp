// A cuBLASLt for machines without a GPU: products by definition, from the same descriptions.
#include "cuda/cublaslt.hpp"

#include <algorithm>
#include <cstring>
#include <map>

#include "core/dtype.hpp"
#include "queue.hpp"

namespace ostinato::cuda::lt {

struct MatmulDesc {
  Compute compute;
  Operation a = Operation::none, b = Operation::none;
  Epilogue epilogue = Epilogue::none;
  const void* bias = nullptr;
};
struct MatrixLayout {
  DataType type;
  int64_t rows, columns, leading;
  int32_t count = 1;
  int64_t batch = 0;
};
struct MatmulPreference {
  std::map<PreferenceAttribute, uint32_t> alignments;
};

namespace {

constexpr int kInvalid = 7;
constexpr size_t kWorkspace = 1024;

// The proposals for every product, first to last: what a product takes by each. One that takes no
// time is refused when it is tried.
constexpr double kMilliseconds[] = {40, 0, 30, 20, 25};
constexpr uint64_t kProposals = std::size(kMilliseconds);
// The fastest clears its workspace first, as those do that add up parts.
constexpr uint64_t kClearing = 3;

float to_tf32(float v) {
  return __builtin_bit_cast(float, (__builtin_bit_cast(uint32_t, v) + 0x1000u) & ~0x1fffu);
}

double read(const MatrixLayout& l, const void* memory, int64_t at) {
  switch (l.type) {
    case DataType::r64f:
      return static_cast<const double*>(memory)[at];
    case DataType::r16f:
      return to_float(static_cast<const Half*>(memory)[at]);
    case DataType::r16bf:
      return to_float(static_cast<const BFloat16*>(memory)[at]);
    default:
      return static_cast<const float*>(memory)[at];
  }
}

void write(const MatrixLayout& l, void* memory, int64_t at, double v) {
  switch (l.type) {
    case DataType::r64f:
      static_cast<double*>(memory)[at] = v;
      return;
    case DataType::r16f:
      static_cast<Half*>(memory)[at] = to_half(static_cast<float>(v));
      return;
    case DataType::r16bf:
      static_cast<BFloat16*>(memory)[at] = to_bfloat16(static_cast<float>(v));
      return;
    default:
      static_cast<float*>(memory)[at] = static_cast<float>(v);
  }
}

// Element (row, column) of a matrix that counts down columns.
double element(const MatrixLayout& l, Operation op, const void* memory, int64_t product,
               int64_t row, int64_t column, Compute compute) {
  if (op == Operation::transpose) std::swap(row, column);
  const double v = read(l, memory, product * l.batch + column * l.leading + row);
  return compute == Compute::f32_fast_tf32 ? to_tf32(static_cast<float>(v)) : v;
}

void multiply(const MatmulDesc& d, const void* a_memory, const MatrixLayout& a,
              const void* b_memory, const MatrixLayout& b, void* c_memory, const MatrixLayout& c) {
  const int64_t inner = d.a == Operation::transpose ? a.rows : a.columns;
  for (int64_t product = 0; product < c.count; ++product) {
    for (int64_t column = 0; column < c.columns; ++column) {
      for (int64_t row = 0; row < c.rows; ++row) {
        double sum = 0;
        for (int64_t i = 0; i < inner; ++i) {
          sum += element(a, d.a, a_memory, product, row, i, d.compute) *
                 element(b, d.b, b_memory, product, i, column, d.compute);
        }
        if (d.epilogue == Epilogue::bias) sum += read(c, d.bias, row);
        write(c, c_memory, product * c.batch + column * c.leading + row, sum);
      }
    }
  }
}

bool fits(const MatrixLayout& l) { return l.leading >= l.rows && l.count >= 1; }

}  // namespace
}  // namespace ostinato::cuda::lt

using namespace ostinato::cuda::lt;

extern "C" {

int cublasLtCreate(Handle* made) {
  static char place;
  *made = reinterpret_cast<Handle>(&place);
  return 0;
}
size_t cublasLtGetVersion() { return 130000; }

int cublasLtMatmulDescCreate(Descriptor* made, Compute compute, DataType) {
  *made = new MatmulDesc{compute};
  return 0;
}
int cublasLtMatmulDescDestroy(Descriptor d) {
  delete d;
  return 0;
}
int cublasLtMatmulDescSetAttribute(Descriptor d, DescriptorAttribute what, const void* value,
                                   size_t bytes) {
  switch (what) {
    case DescriptorAttribute::transpose_a:
      std::memcpy(&d->a, value, bytes);
      return bytes == sizeof d->a ? 0 : kInvalid;
    case DescriptorAttribute::transpose_b:
      std::memcpy(&d->b, value, bytes);
      return bytes == sizeof d->b ? 0 : kInvalid;
    case DescriptorAttribute::epilogue:
      std::memcpy(&d->epilogue, value, bytes);
      return bytes == sizeof d->epilogue ? 0 : kInvalid;
    case DescriptorAttribute::bias_pointer:
      std::memcpy(&d->bias, value, bytes);
      return bytes == sizeof d->bias ? 0 : kInvalid;
    case DescriptorAttribute::bias_data_type:
      return bytes == sizeof(DataType) ? 0 : kInvalid;
  }
  return kInvalid;
}

int cublasLtMatrixLayoutCreate(Layout* made, DataType type, uint64_t rows, uint64_t columns,
                               int64_t leading) {
  *made =
      new MatrixLayout{type, static_cast<int64_t>(rows), static_cast<int64_t>(columns), leading};
  return 0;
}
int cublasLtMatrixLayoutDestroy(Layout l) {
  delete l;
  return 0;
}
int cublasLtMatrixLayoutSetAttribute(Layout l, LayoutAttribute what, const void* value,
                                     size_t bytes) {
  if (what == LayoutAttribute::batch_count) {
    if (bytes != sizeof l->count) return kInvalid;
    std::memcpy(&l->count, value, bytes);
    return 0;
  }
  if (bytes != sizeof l->batch) return kInvalid;
  std::memcpy(&l->batch, value, bytes);
  return 0;
}

int cublasLtMatmulPreferenceCreate(Preference* made) {
  *made = new MatmulPreference;
  return 0;
}
int cublasLtMatmulPreferenceDestroy(Preference p) {
  delete p;
  return 0;
}
int cublasLtMatmulPreferenceSetAttribute(Preference p, PreferenceAttribute what, const void* value,
                                         size_t bytes) {
  if (what == PreferenceAttribute::most_workspace) return bytes == 8 ? 0 : kInvalid;
  if (bytes != 4) return kInvalid;
  std::memcpy(&p->alignments[what], value, bytes);
  return 0;
}

int cublasLtMatmulAlgoGetHeuristic(Handle, Descriptor, Layout a, Layout b, Layout c, Layout,
                                   Preference p, int asked, Heuristic* found, int* count) {
  *count = 0;
  if (!fits(*a) || !fits(*b) || !fits(*c) || p->alignments.size() != 4) return kInvalid;
  *count = std::min<int>(asked, kProposals);
  for (int i = 0; i < *count; ++i) {
    found[i] = {};
    found[i].algorithm.data[0] = static_cast<uint64_t>(i);
    found[i].workspace = kWorkspace;
  }
  return 0;
}
int cublasLtMatmulAlgoCheck(Handle, Descriptor, Layout, Layout, Layout, Layout,
                            const Algorithm* algorithm, Heuristic* found) {
  *found = {};
  found->workspace = kWorkspace;
  return algorithm->data[0] < kProposals ? 0 : kInvalid;
}

int cublasLtMatmul(Handle, Descriptor d, const void*, const void* a_memory, Layout a,
                   const void* b_memory, Layout b, const void*, const void*, Layout, void* c_memory,
                   Layout c, const Algorithm* algorithm, void* workspace, size_t bytes,
                   CUstream stream) {
  if (workspace == nullptr || bytes < kWorkspace) return kInvalid;
  if (algorithm->data[0] >= kProposals || kMilliseconds[algorithm->data[0]] == 0) return kInvalid;
  if (algorithm->data[0] == kClearing) {
    cuMemsetD32Async(reinterpret_cast<CUdeviceptr>(workspace), 0, kWorkspace / 4, stream);
  }
  queue_work(stream, kMilliseconds[algorithm->data[0]], [=, d = *d, a = *a, b = *b, c = *c] {
    multiply(d, a_memory, a, b_memory, b, c_memory, c);
  });
  return 0;
}

}  // extern "C"
