// Random tensors and dropout: a thread makes the four elements of a counter.
#include <cmath>

#include "cuda/kernels/each.cuh"
#include "cuda/kernels/elements.cuh"
#include "cuda/kernels/philox.cuh"
#include "cuda/kernels/random.hpp"

#define OSTINATO_ISA device
#define OSTINATO_SCALAR __device__ __forceinline__
#include "scalar_math.hpp"

namespace ostinato::cuda {
namespace {

struct State {
  uint64_t seed, offset;

  __device__ explicit State(const RandomParams& p)
      : seed(p.state ? p.state[0] : p.seed), offset(p.state ? p.state[1] : p.offset) {}
};

// f(lanes, first, n) for the lanes of each counter: elements first to first + n - 1, n at most 4.
template <class F>
__device__ __forceinline__ void for_counters(const RandomParams& p, F f) {
  const State state(p);
  for_each((p.count + 3) / 4, [&](uint32_t block) {
    const Lanes lanes(state.seed, state.offset + block);
    f(lanes, block * 4, min(4u, p.count - block * 4));
  });
}

template <class T>
__device__ __forceinline__ void put(const RandomParams& p, uint32_t i, T y) {
  store(p.to + i * item_of(p.to_dtype), p.to_dtype, y);
}

template <class T>
__device__ __forceinline__ void uniforms(const RandomParams& p) {
  const T unit = T(1) / static_cast<T>(uint64_t{1} << p.bits);
  for_counters(p, [&](const Lanes& lanes, uint32_t first, uint32_t n) {
#pragma unroll
    for (uint32_t k = 0; k < 4; ++k) {
      if (k < n) put(p, first + k, static_cast<T>(lanes.at[k] >> (32 - p.bits)) * unit);
    }
  });
}

template <class T>
__device__ __forceinline__ void drop(const RandomParams& p) {
  const float least = static_cast<float>(p.p);
  // Combined as on the CPU: in float for float, in double for double.
  const T scale = T(1) / (T(1) - static_cast<T>(p.p));
  const int64_t from_item = item_of(p.from_dtype), to_item = item_of(p.to_dtype);
  for_counters(p, [&](const Lanes& lanes, uint32_t first, uint32_t n) {
    T x[kVector] = {};
    const bool together = p.is_vectorised && n == kVector;
    if (together) {
      load_vector(p.from + first * from_item, p.from_dtype, x);
    } else {
      for (uint32_t k = 0; k < n; ++k) {
        x[k] = load<T>(p.from + (first + k) * from_item, p.from_dtype);
      }
    }
#pragma unroll
    for (uint32_t k = 0; k < kVector; ++k) {
      const float u = static_cast<float>(lanes.at[k] >> 8) * 0x1p-24f;
      x[k] = u >= least ? x[k] * scale : T(0);
    }
    if (together) {
      store_vector(p.to + first * to_item, p.to_dtype, x);
    } else {
      for (uint32_t k = 0; k < n; ++k) put(p, first + k, x[k]);
    }
  });
}

}  // namespace

OSTINATO_GLOBAL(rand_float32, RandomParams) { uniforms<float>(p); }
OSTINATO_GLOBAL(rand_float64, RandomParams) { uniforms<double>(p); }
OSTINATO_GLOBAL(dropout_float32, RandomParams) { drop<float>(p); }
OSTINATO_GLOBAL(dropout_float64, RandomParams) { drop<double>(p); }

OSTINATO_GLOBAL(randn_float32, RandomParams) {
  const State state(p);
  for_each(p.count, [&](uint32_t i) {
    put(p, i,
        device::scalar::normal(static_cast<int64_t>(state.seed), static_cast<int64_t>(state.offset),
                               i));
  });
}

// Box-Muller pairs of all 32 bits of neighbouring lanes.
OSTINATO_GLOBAL(randn_float64, RandomParams) {
  for_counters(p, [&](const Lanes& lanes, uint32_t first, uint32_t n) {
#pragma unroll
    for (uint32_t k = 0; k < 4; k += 2) {
      const double radius = sqrt(-2.0 * log(lanes.at[k] * 0x1p-32 + 0x1p-32));
      const double angle = 0x1.921fb54442d18p+2 * (lanes.at[k + 1] * 0x1p-32);  // 2 pi v
      if (k < n) put(p, first + k, radius * cos(angle));
      if (k + 1 < n) put(p, first + k + 1, radius * sin(angle));
    }
  });
}

OSTINATO_GLOBAL(randint, RandomParams) {
  for_counters(p, [&](const Lanes& lanes, uint32_t first, uint32_t n) {
#pragma unroll
    for (uint32_t k = 0; k < 4; ++k) {
      const uint64_t drawn = static_cast<uint64_t>(p.low) + (lanes.at[k] * p.span >> 32);
      if (k < n) put(p, first + k, static_cast<int64_t>(drawn));
    }
  });
}

// The lanes themselves, as int32.
OSTINATO_GLOBAL(random_lanes, RandomParams) {
  for_counters(p, [&](const Lanes& lanes, uint32_t first, uint32_t n) {
#pragma unroll
    for (uint32_t k = 0; k < 4; ++k) {
      if (k < n) reinterpret_cast<uint32_t*>(p.to)[first + k] = lanes.at[k];
    }
  });
}

// One thread moves a state past what was drawn.
OSTINATO_GLOBAL(rng_advance, RandomParams) {
  const State state(p);
  uint64_t* to = reinterpret_cast<uint64_t*>(p.to);
  to[0] = state.seed;
  to[1] = state.offset + static_cast<uint64_t>(p.drawn + 3) / 4;
}

}  // namespace ostinato::cuda
