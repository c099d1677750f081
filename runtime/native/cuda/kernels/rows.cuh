// Rows of dense elements that a warp or a block works on.
#pragma once
#include <cmath>

#include "cuda/kernels/group.cuh"
#include "cuda/kernels/rows.hpp"

namespace ostinato::cuda {

template <class T>
struct SumState {
  T value = 0;
  __device__ void merge(const SumState& o) { value += o.value; }
};

template <class T>
struct TopState {
  T value = -static_cast<T>(__builtin_huge_val());
  __device__ void take(T x) {
    if (x > value || x != x) value = x;
  }
  __device__ void merge(const TopState& o) { take(o.value); }
};

// The row that this thread works on, and which of its elements are this thread's: kVector from
// `first` of each of its chunks.
class RowPlace {
 public:
  __device__ explicit RowPlace(const Rows& rows)
      : rows_(rows),
        row_(blockIdx.x * (kThreads / rows.lanes) + threadIdx.x / rows.lanes),
        lane_(threadIdx.x % rows.lanes) {}

  // Threads past the last row take part in what their warp does and touch no memory.
  __device__ bool exists() const { return row_ < rows_.rows; }
  __device__ uint32_t row() const { return row_; }
  __device__ uint32_t n() const { return rows_.n; }
  __device__ uint32_t lanes() const { return rows_.lanes; }
  __device__ bool is_first() const { return lane_ == 0; }
  __device__ uint32_t first(uint32_t chunk) const {
    return (chunk * rows_.lanes + lane_) * kVector;
  }
  // How many elements of the chunk the row has.
  __device__ uint32_t count(uint32_t first) const {
    return exists() && first < rows_.n ? min(static_cast<uint32_t>(kVector), rows_.n - first) : 0;
  }
  __device__ uint32_t chunks() const {
    const uint32_t together = rows_.lanes * kVector;
    return (rows_.n + together - 1) / together;
  }

  // Elements from `first` of row `row` of `d`.
  template <class T>
  __device__ void read(const Dense& d, uint32_t row, uint32_t first, uint32_t count, T* x) const {
    const auto at = static_cast<int64_t>(row) * rows_.n + first;
    const char* from = d.memory + at * item_of(d.dtype);
    if (rows_.is_vectorised) {
      if (count > 0) load_vector(from, d.dtype, x);
      return;
    }
    const Vector<T> given = read_each<T>(from, d.dtype, count);
#pragma unroll
    for (int k = 0; k < kVector; ++k) x[k] = given.at[k];
  }
  template <class T>
  __device__ void write(const Dense& d, uint32_t first, uint32_t count, const T* y) const {
    const auto at = static_cast<int64_t>(row_) * rows_.n + first;
    char* to = d.memory + at * item_of(d.dtype);
    if (rows_.is_vectorised) {
      if (count > 0) store_vector(to, d.dtype, y);
      return;
    }
    write_each<T>(to, d.dtype, count, {y[0], y[1], y[2], y[3]});
  }

 private:
  Rows rows_;
  uint32_t row_, lane_;
};

// A row of an operand: in registers where it fits (`kHolds`), else read again for each use.
template <class T, bool kHolds>
class Row {
 public:
  __device__ Row(const RowPlace& place, const Dense& source) : place_(place), source_(source) {
    if constexpr (kHolds) {
#pragma unroll
      for (uint32_t c = 0; c < kHeld; ++c) {
        if (c >= place.chunks()) break;
        const uint32_t first = place.first(c);
        place.read(source, place.row(), first, place.count(first), held_[c]);
      }
    }
  }

  // f(first, count, x) for each chunk of this thread.
  template <class F>
  __device__ __forceinline__ void chunks(F f) {
    if constexpr (kHolds) {
#pragma unroll
      for (uint32_t c = 0; c < kHeld; ++c) {
        if (c >= place_.chunks()) break;
        const uint32_t first = place_.first(c);
        f(first, place_.count(first), held_[c]);
      }
    } else {
      for (uint32_t c = 0; c < place_.chunks(); ++c) {
        T x[kVector];
        const uint32_t first = place_.first(c), count = place_.count(first);
        place_.read(source_, place_.row(), first, count, x);
        f(first, count, x);
      }
    }
  }

  // f(x) for each element of this thread.
  template <class F>
  __device__ __forceinline__ void each(F f) {
    chunks([&](uint32_t, uint32_t count, const T* x) {
#pragma unroll
      for (uint32_t k = 0; k < kVector; ++k) {
        if (k < count) f(x[k]);
      }
    });
  }

  // The sum of f(x), known to every thread of the row.
  template <class F>
  __device__ __forceinline__ T sum(F f) {
    SumState<T> state;
    each([&](T x) { state.value += f(x); });
    return joined(state, place_.lanes()).value;
  }
  __device__ __forceinline__ T top() {
    TopState<T> state;
    each([&](T x) { state.take(x); });
    return joined(state, place_.lanes()).value;
  }

 private:
  const RowPlace& place_;
  const Dense& source_;
  T held_[kHolds ? kHeld : 1][kVector];
};

// Kernel NAME_float32 for rows in registers, and NAME_long_float32 and NAME_long_float64 for any.
#define OSTINATO_ROWS(NAME, PARAMS)                                       \
  OSTINATO_GLOBAL(NAME##_float32, PARAMS) { NAME<float, true>(p); }       \
  OSTINATO_GLOBAL(NAME##_long_float32, PARAMS) { NAME<float, false>(p); } \
  OSTINATO_GLOBAL(NAME##_long_float64, PARAMS) { NAME<double, false>(p); }

}  // namespace ostinato::cuda
