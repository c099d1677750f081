// Adding rows at sorted places in two stages: chunks of fixed length are added up side by side, and
// the sums of a run that goes through several of them are joined in order. So a place that comes
// often costs little more than many that come once, and results are the same on each run.
#include "cuda/kernels/each.cuh"
#include "cuda/kernels/elements.cuh"
#include "cuda/kernels/index.hpp"

namespace ostinato::cuda {
namespace {

template <class T>
using Wrapping = std::conditional_t<std::is_integral_v<T>, uint64_t, T>;

// Which elements a thread adds: kWidth from `at` of each row, in one chunk of sorted places.
template <class T, int kWidth>
class Adder {
 public:
  using Sum = Wrapping<T>;

  __device__ Adder(const AddParams& p, uint32_t i)
      : p_(p),
        at_(i % (p.inner / kWidth) * kWidth),
        chunk_(i / (p.inner / kWidth) % p.chunks),
        outer_(i / (p.inner / kWidth) / p.chunks) {}

  __device__ uint32_t chunk() const { return chunk_; }
  __device__ uint32_t first() const { return chunk_ * kAddChunk; }
  __device__ uint32_t last() const { return min(p_.m, first() + kAddChunk); }
  // Whether the places on either side of the beginning of a chunk are equal.
  __device__ bool goes_into(uint32_t chunk) const {
    const uint32_t k = chunk * kAddChunk;
    return k > 0 && k < p_.m && p_.places[k - 1] == p_.places[k];
  }

  // The elements of the row that belongs at sorted place k.
  __device__ void read(uint32_t k, T* x) const {
    const size_t row = size_t{outer_} * p_.m + p_.numbers[k];
    move(p_.from, p_.from_dtype, row, x);
  }
  __device__ void take_sum(const char* sums, uint32_t chunk, Sum* sum) const {
    const Sum* from = reinterpret_cast<const Sum*>(sums) + sum_at(chunk);
#pragma unroll
    for (int w = 0; w < kWidth; ++w) sum[w] += from[w];
  }
  __device__ void put_sum(char* sums, const Sum* sum) const {
    Sum* to = reinterpret_cast<Sum*>(sums) + sum_at(chunk_);
#pragma unroll
    for (int w = 0; w < kWidth; ++w) to[w] = sum[w];
  }
  __device__ void add(uint32_t place, const Sum* sum) const {
    if (place >= p_.n) return;
    const size_t row = size_t{outer_} * p_.n + place;
    T y[kWidth];
    move(p_.to, p_.to_dtype, row, y);
#pragma unroll
    for (int w = 0; w < kWidth; ++w) y[w] = static_cast<T>(static_cast<Sum>(y[w]) + sum[w]);
    char* to = p_.to + offset(row, p_.to_dtype);
    if constexpr (kWidth == kVector) {
      store_vector(to, p_.to_dtype, y);
    } else {
      store(to, p_.to_dtype, y[0]);
    }
  }

 private:
  __device__ size_t sum_at(uint32_t chunk) const {
    return (size_t{outer_} * p_.chunks + chunk) * p_.inner + at_;
  }
  __device__ int64_t offset(size_t row, DType dtype) const {
    return static_cast<int64_t>(row * p_.inner + at_) * item_of(dtype);
  }
  __device__ void move(const char* memory, DType dtype, size_t row, T* x) const {
    if constexpr (kWidth == kVector) {
      load_vector(memory + offset(row, dtype), dtype, x);
    } else {
      x[0] = load<T>(memory + offset(row, dtype), dtype);
    }
  }

  const AddParams& p_;
  uint32_t at_, chunk_, outer_;
};

template <class T, int kWidth>
__device__ __forceinline__ void add_chunk(const AddParams& p, const Adder<T, kWidth>& adder) {
  constexpr uint32_t kTogether = 8;  // rows that are read before they are added
  const uint32_t first = adder.first(), last = adder.last();
  bool is_head = adder.goes_into(adder.chunk());
  uint32_t current = p.places[first];
  Wrapping<T> sum[kWidth] = {};
  for (uint32_t base = first; base < last; base += kTogether) {
    T x[kTogether][kWidth];
    uint32_t places[kTogether];
#pragma unroll
    for (uint32_t j = 0; j < kTogether; ++j) {
      if (base + j >= last) break;
      places[j] = p.places[base + j];
      adder.read(base + j, x[j]);
    }
#pragma unroll
    for (uint32_t j = 0; j < kTogether; ++j) {
      if (base + j >= last) break;
      if (places[j] != current) {
        is_head ? adder.put_sum(p.heads, sum) : adder.add(current, sum);
        is_head = false;
        current = places[j];
#pragma unroll
        for (int w = 0; w < kWidth; ++w) sum[w] = 0;
      }
#pragma unroll
      for (int w = 0; w < kWidth; ++w) sum[w] += static_cast<Wrapping<T>>(x[j][w]);
    }
  }
  if (is_head) {
    adder.put_sum(p.heads, sum);
  } else if (adder.goes_into(adder.chunk() + 1)) {
    adder.put_sum(p.tails, sum);
  } else {
    adder.add(current, sum);
  }
}

template <class T, int kWidth>
__device__ __forceinline__ void add_chunks(const AddParams& p) {
  for_each(p.outer * p.chunks * (p.inner / kWidth),
           [&](uint32_t i) { add_chunk<T, kWidth>(p, Adder<T, kWidth>(p, i)); });
}

// A run belongs to the chunk that it begins in; the threads of a column take turns at the chunks
// that it goes through.
template <class T, int kWidth>
__device__ __forceinline__ void join_chunks(const AddParams& p) {
  using Sum = Wrapping<T>;
  __shared__ Sum sums[kAddRows][kAddColumns][kWidth];
  const uint32_t i = blockIdx.x * kAddColumns + threadIdx.x;
  const bool exists = i < p.outer * p.chunks * (p.inner / kWidth);
  const Adder<T, kWidth> adder(p, exists ? i : 0);
  const uint32_t last = adder.last(), place = p.places[last - 1];
  const bool begins = !adder.goes_into(adder.chunk()) || p.places[adder.first()] != place;
  const bool is_cut = exists && begins && adder.goes_into(adder.chunk() + 1);
  Sum sum[kWidth] = {};
  if (is_cut) {
    if (threadIdx.y == 0) adder.take_sum(p.tails, adder.chunk(), sum);
#pragma unroll 2
    for (uint32_t c = adder.chunk() + 1 + threadIdx.y; c < p.chunks; c += kAddRows) {
      if (p.places[c * kAddChunk] != place) break;
      adder.take_sum(p.heads, c, sum);
    }
  }
#pragma unroll
  for (int w = 0; w < kWidth; ++w) sums[threadIdx.y][threadIdx.x][w] = sum[w];
  __syncthreads();
  if (!is_cut || threadIdx.y != 0) return;
  for (uint32_t y = 1; y < kAddRows; ++y) {
#pragma unroll
    for (int w = 0; w < kWidth; ++w) sum[w] += sums[y][threadIdx.x][w];
  }
  adder.add(place, sum);
}

}  // namespace

#define OSTINATO_ADDS(NAME, TYPE)                                              \
  OSTINATO_GLOBAL(add_chunks_##NAME, AddParams) {                              \
    p.is_vectorised ? add_chunks<TYPE, kVector>(p) : add_chunks<TYPE, 1>(p);   \
  }                                                                            \
  OSTINATO_GLOBAL(join_chunks_##NAME, AddParams) {                             \
    p.is_vectorised ? join_chunks<TYPE, kVector>(p) : join_chunks<TYPE, 1>(p); \
  }
OSTINATO_ADDS(float32, float)
OSTINATO_ADDS(float64, double)
OSTINATO_ADDS(int64, int64_t)

}  // namespace ostinato::cuda
