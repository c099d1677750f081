// Sixteen lanes of a reduction: element j goes to lane j mod 16, and lanes join in halves. The
// order of the arithmetic is the same on every machine, whatever the width of its registers.
#pragma once
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

// Vectors never cross a call: everything here is inlined.
#pragma GCC diagnostic ignored "-Wpsabi"

namespace ostinato::OSTINATO_ISA {

#if defined(__AVX512F__)
inline constexpr int kVectorBytes = 64;
#elif defined(__AVX__)
inline constexpr int kVectorBytes = 32;
#else
inline constexpr int kVectorBytes = 16;
#endif
inline constexpr int kLanes = 16;

#define OSTINATO_INLINE inline __attribute__((always_inline))

struct Sum {
  template <class T>
  static constexpr T identity() {
    return T{0};
  }
  template <class V>
  static OSTINATO_INLINE void join(V& into, const V& x) {
    into = into + x;
  }
};
struct Product {
  template <class T>
  static constexpr T identity() {
    return T{1};
  }
  template <class V>
  static OSTINATO_INLINE void join(V& into, const V& x) {
    into = into * x;
  }
};
// NaN wins over every number.
struct Maximum {
  template <class T>
  static constexpr T identity() {
    using Limits = std::numeric_limits<T>;
    return Limits::has_infinity ? -Limits::infinity() : Limits::lowest();
  }
  template <class V>
  static OSTINATO_INLINE void join(V& into, const V& x) {
    into = (x > into) | (x != x) ? x : into;
  }
};
struct Minimum {
  template <class T>
  static constexpr T identity() {
    using Limits = std::numeric_limits<T>;
    return Limits::has_infinity ? Limits::infinity() : Limits::max();
  }
  template <class V>
  static OSTINATO_INLINE void join(V& into, const V& x) {
    into = (x < into) | (x != x) ? x : into;
  }
};

template <class T>
struct VectorOf {
  static constexpr int kBytes = kLanes * static_cast<int>(sizeof(T)) < kVectorBytes
                                    ? kLanes * static_cast<int>(sizeof(T))
                                    : kVectorBytes;
  typedef T type __attribute__((vector_size(kBytes)));
};
template <class T>
using Vector = typename VectorOf<T>::type;

template <class T>
OSTINATO_INLINE Vector<T> load(const T* p) {
  Vector<T> v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
template <class T>
OSTINATO_INLINE void store(T* p, const Vector<T>& v) {
  std::memcpy(p, &v, sizeof v);
}
template <class T>
OSTINATO_INLINE Vector<T> broadcast(T x) {
  return x - Vector<T>{};  // unlike a sum with zero, the compiler drops this difference
}

template <class V, int... kIndex>
OSTINATO_INLINE auto part(const V& v, int first, std::integer_sequence<int, kIndex...>) {
  return first == 0 ? __builtin_shufflevector(v, v, kIndex...)
                    : __builtin_shufflevector(v, v, (kIndex + int{sizeof...(kIndex)})...);
}

// The N elements of `v` joined in halves: k with k + N/2, then k + N/4, down to one.
template <class Combine, class T, int N, class V>
OSTINATO_INLINE T fold(const V& v) {
  if constexpr (N == 2) {
    T first = v[0];
    Combine::join(first, static_cast<T>(v[1]));
    return first;
  } else {
    const std::make_integer_sequence<int, N / 2> indices;
    auto low = part(v, 0, indices);
    Combine::join(low, part(v, N / 2, indices));
    return fold<Combine, T, N / 2>(low);
  }
}

template <class Combine, class T>
struct Lanes {
  static constexpr int kWidth = static_cast<int>(sizeof(Vector<T>) / sizeof(T));
  static constexpr int kVectors = kLanes / kWidth;
  Vector<T> lanes[kVectors];

  OSTINATO_INLINE Lanes() {
    for (int i = 0; i < kVectors; ++i) lanes[i] = broadcast(Combine::template identity<T>());
  }
  // Takes elements 16 i to 16 i + 15.
  OSTINATO_INLINE void take(const T* p) {
    for (int i = 0; i < kVectors; ++i) Combine::join(lanes[i], load(p + i * kWidth));
  }
  // Joins the lanes.
  OSTINATO_INLINE T finish() {
    for (int half = kVectors / 2; half > 0; half /= 2) {
      for (int i = 0; i < half; ++i) Combine::join(lanes[i], lanes[i + half]);
    }
    return fold<Combine, T, kWidth>(lanes[0]);
  }
  // Takes the last n < 16 elements, then joins the lanes.
  OSTINATO_INLINE T finish(const T* rest, int64_t n) {
    if (n == 0) return finish();
    alignas(64) T t[kLanes];
    for (int k = 0; k < kLanes; ++k) t[k] = Combine::template identity<T>();
    std::memcpy(t, rest, static_cast<size_t>(n) * sizeof(T));
    take(t);
    return finish();
  }
};

// The reduction of n elements side by side.
template <class Combine, class T>
OSTINATO_INLINE T reduce_dense(const T* x, int64_t n) {
  Lanes<Combine, T> lanes;
  int64_t j = 0;
  for (; j + kLanes <= n; j += kLanes) lanes.take(x + j);
  return lanes.finish(x + j, n - j);
}

}  // namespace ostinato::OSTINATO_ISA
