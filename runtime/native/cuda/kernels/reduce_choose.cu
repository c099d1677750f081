// Largest and smallest elements, and where they are. NaN beats every number.
#include "cuda/kernels/reduce.cuh"

namespace ostinato::cuda {
namespace {

struct Larger {
  template <class T>
  static __device__ bool beats(T a, T b) {
    return a > b || (a != a && b == b);
  }
  template <class T>
  static __device__ constexpr T worst() {
    if constexpr (std::is_floating_point_v<T>) {
      return -static_cast<T>(__builtin_huge_val());
    } else {
      return std::is_same_v<T, bool> ? T(0) : static_cast<T>(uint64_t{1} << 63);
    }
  }
};

struct Smaller {
  template <class T>
  static __device__ bool beats(T a, T b) {
    return a < b || (a != a && b == b);
  }
  template <class T>
  static __device__ constexpr T worst() {
    if constexpr (std::is_floating_point_v<T>) {
      return static_cast<T>(__builtin_huge_val());
    } else {
      return std::is_same_v<T, bool> ? T(1) : static_cast<T>(~(uint64_t{1} << 63));
    }
  }
};

// States are whole words, so that lanes can pass them on.
template <class Order, class T>
struct Extreme {
  using Value = T;
  alignas(4) alignas(T) T best = Order::template worst<T>();

  __device__ void push(T x, uint32_t) {
    if (Order::beats(x, best)) best = x;
  }
  __device__ void merge(const Extreme& o) { push(o.best, 0); }
  __device__ T result(const ReduceParams&) const { return best; }
};

// The first position of the extreme; -1 before any element.
template <class Order, class T>
struct Position {
  using Value = T;
  T best = 0;
  int64_t at = -1;

  __device__ void push(T x, uint32_t j) {
    if (at >= 0 && !Order::beats(x, best)) return;
    best = x;
    at = j;
  }
  __device__ void merge(const Position& o) {
    if (o.at < 0) return;
    if (at >= 0 && !Order::beats(o.best, best) && (Order::beats(best, o.best) || at < o.at)) return;
    best = o.best;
    at = o.at;
  }
  __device__ int64_t result(const ReduceParams&) const { return at; }
};

template <class T>
using Maximum = Extreme<Larger, T>;
template <class T>
using Minimum = Extreme<Smaller, T>;
template <class T>
using Highest = Position<Larger, T>;
template <class T>
using Lowest = Position<Smaller, T>;

}  // namespace

OSTINATO_REDUCTION(amax_bool, Maximum<bool>)
OSTINATO_REDUCTION(amax_int64, Maximum<int64_t>)
OSTINATO_REDUCTION(amax_float32, Maximum<float>)
OSTINATO_REDUCTION(amax_float64, Maximum<double>)
OSTINATO_REDUCTION(amin_bool, Minimum<bool>)
OSTINATO_REDUCTION(amin_int64, Minimum<int64_t>)
OSTINATO_REDUCTION(amin_float32, Minimum<float>)
OSTINATO_REDUCTION(amin_float64, Minimum<double>)
OSTINATO_REDUCTION(argmax_int64, Highest<int64_t>)
OSTINATO_REDUCTION(argmax_float32, Highest<float>)
OSTINATO_REDUCTION(argmax_float64, Highest<double>)
OSTINATO_REDUCTION(argmin_int64, Lowest<int64_t>)
OSTINATO_REDUCTION(argmin_float32, Lowest<float>)
OSTINATO_REDUCTION(argmin_float64, Lowest<double>)

}  // namespace ostinato::cuda
