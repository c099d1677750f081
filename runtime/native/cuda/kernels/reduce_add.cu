// Sums, products and variances. Integers wrap.
#include "cuda/kernels/reduce.cuh"

namespace ostinato::cuda {
namespace {

template <class T>
using Wrapping = std::conditional_t<std::is_integral_v<T>, uint64_t, T>;

template <class T>
struct Sum {
  using Value = T;
  Wrapping<T> total = 0;

  __device__ void push(T x, uint32_t) { total += static_cast<Wrapping<T>>(x); }
  __device__ void merge(const Sum& o) { total += o.total; }
  __device__ T result(const ReduceParams& p) const {
    const T y = static_cast<T>(total);
    return p.divisor == 0.0 ? y : static_cast<T>(y / static_cast<T>(p.divisor));
  }
};

template <class T>
struct Product {
  using Value = T;
  Wrapping<T> total = 1;

  __device__ void push(T x, uint32_t) { total *= static_cast<Wrapping<T>>(x); }
  __device__ void merge(const Product& o) { total *= o.total; }
  __device__ T result(const ReduceParams&) const { return static_cast<T>(total); }
};

// Mean and sum of squared distances from it (Welford 1962; joined as by Chan et al. 1979), in
// float64: in float32 the moving mean costs more digits than a second pass would.
template <class T>
struct Variance {
  using Value = T;
  double count = 0, mean = 0, squares = 0;

  __device__ void push(T x, uint32_t) {
    count += 1.0;
    const double away = x - mean;
    mean += away / count;
    squares += away * (x - mean);
  }
  __device__ void merge(const Variance& o) {
    if (o.count == 0.0) return;
    const double all = count + o.count, away = o.mean - mean;
    mean += away * (o.count / all);
    squares += o.squares + away * away * (count * (o.count / all));
    count = all;
  }
  __device__ T result(const ReduceParams& p) const {
    const double y = squares / p.divisor;
    return static_cast<T>(p.root ? sqrt(y) : y);
  }
};

// Elements j, j + kReduceRows, ... of kVector neighbouring columns, stored as `Stored`.
template <class Stored, class T>
__device__ __forceinline__ void sum_columns(const ReduceParams& p, const char* from, uint32_t begin,
                                            uint32_t end, T* sum) {
#pragma unroll 8
  for (uint32_t j = begin + threadIdx.y; j < end; j += kReduceRows) {
    T x[kVector];
    read_vector<Stored>(from + offset_of(p.reduced, j), x);
#pragma unroll
    for (int k = 0; k < kVector; ++k) sum[k] += x[k];
  }
}

// As reduce_columns, of kVector columns a thread.
template <class T>
__device__ __forceinline__ void sum_wide(const ReduceParams& p) {
  __shared__ T sums[kReduceRows][kReduceColumns][kVector];
  const uint32_t column = (blockIdx.x * kReduceColumns + threadIdx.x) * kVector;
  const uint32_t begin = blockIdx.y * p.part, end = min(p.n, begin + p.part);
  T sum[kVector] = {};
  if (column < p.rows) {
    const char* from = p.from + offset_of(p.kept, column);
    if (p.from_dtype == dtype_of<T>) {
      sum_columns<T>(p, from, begin, end, sum);
    } else if (p.from_dtype == DType::bfloat16_) {
      sum_columns<BFloat16>(p, from, begin, end, sum);
    } else {
      sum_columns<Half>(p, from, begin, end, sum);
    }
  }
#pragma unroll
  for (int k = 0; k < kVector; ++k) sums[threadIdx.y][threadIdx.x][k] = sum[k];
  __syncthreads();
  // Each row of threads joins one of the columns of each thread.
  const uint32_t k = threadIdx.y;
  if (k >= kVector || column >= p.rows) return;
  Sum<T> state;
  for (uint32_t y = 0; y < kReduceRows; ++y) state.total += sums[y][threadIdx.x][k];
  put_state(p, column + k, state);
}

}  // namespace

OSTINATO_REDUCTION(sum_float32, Sum<float>)
OSTINATO_REDUCTION(sum_float64, Sum<double>)
OSTINATO_REDUCTION(sum_int64, Sum<int64_t>)
OSTINATO_GLOBAL(sum_float32_wide, ReduceParams) { sum_wide<float>(p); }
OSTINATO_GLOBAL(sum_float64_wide, ReduceParams) { sum_wide<double>(p); }
OSTINATO_REDUCTION(prod_float32, Product<float>)
OSTINATO_REDUCTION(prod_float64, Product<double>)
OSTINATO_REDUCTION(prod_int64, Product<int64_t>)
OSTINATO_REDUCTION(var_float32, Variance<float>)
OSTINATO_REDUCTION(var_float64, Variance<double>)

}  // namespace ostinato::cuda
