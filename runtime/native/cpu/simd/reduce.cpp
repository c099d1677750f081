#include "cpu/simd/reduce.hpp"

#include <algorithm>

#include "cpu/simd/lanes.hpp"

namespace ostinato::OSTINATO_ISA {
namespace {

template <class Combine, class T>
void row(const void* x, int64_t n, void* result) {
  *static_cast<T*>(result) = reduce_dense<Combine>(static_cast<const T*>(x), n);
}

template <class Combine, class T>
void columns(const void* x, int64_t stride, int64_t rows, int64_t count, void* results) {
  const T* source = static_cast<const T*>(x);
  T* __restrict total = static_cast<T*>(results);
  std::fill(total, total + count, Combine::template identity<T>());
  int64_t r = 0;
  for (; r + 4 <= rows; r += 4) {
    const T* a = source + r * stride;
    for (int64_t c = 0; c < count; ++c) {
      T t = total[c];
      for (int k = 0; k < 4; ++k) Combine::join(t, a[c + k * stride]);
      total[c] = t;
    }
  }
  for (; r < rows; ++r) {
    const T* a = source + r * stride;
    for (int64_t c = 0; c < count; ++c) Combine::join(total[c], a[c]);
  }
}

template <class Combine, class T>
int64_t find(const void* x, int64_t n) {
  const T* p = static_cast<const T*>(x);
  const T best = reduce_dense<Combine>(p, n);
  for (int64_t i = 0; i < n; ++i) {
    if (p[i] == best || p[i] != p[i]) return i;
  }
  return 0;
}

template <class T>
ReduceFns adding(Reduction kind) {
  if (kind == Reduction::sum) return {row<Sum, T>, columns<Sum, T>, nullptr};
  return {row<Product, T>, columns<Product, T>, nullptr};
}

template <class T>
ReduceFns choosing(Reduction kind) {
  if (kind == Reduction::maximum) return {row<Maximum, T>, columns<Maximum, T>, find<Maximum, T>};
  return {row<Minimum, T>, columns<Minimum, T>, find<Minimum, T>};
}

}  // namespace

ReduceFns reduce_fns(Reduction kind, DType dtype) {
  const bool adds = kind == Reduction::sum || kind == Reduction::product;
  switch (dtype) {
    case DType::float32_:
      return adds ? adding<float>(kind) : choosing<float>(kind);
    case DType::float64_:
      return adds ? adding<double>(kind) : choosing<double>(kind);
    // Integer sums wrap.
    case DType::int64_:
      return adds ? adding<uint64_t>(kind) : choosing<int64_t>(kind);
    case DType::int32_:
      return choosing<int32_t>(kind);
    default:
      return choosing<uint8_t>(kind);
  }
}

}  // namespace ostinato::OSTINATO_ISA
