// The random state of an op, and its lanes.
#pragma once
#include <algorithm>

#include "core/parallel.hpp"
#include "core/tensor.hpp"
#include "cpu/simd/random.hpp"

namespace ostinato {

const RandomFns& random_functions();
// What an int64[2] operand (seed, offset) holds.
RandomState random_state(const Tensor& rng);

// Bits of a lane that make a uniform number of `dtype`.
inline int uniform_bits(DType dtype) {
  switch (dtype) {
    case DType::float16_:
      return 11;
    case DType::bfloat16_:
      return 8;
    case DType::float64_:
      return 32;
    default:
      return 24;
  }
}

inline constexpr int64_t kLaneBlock = 1024;  // lanes made at a time; they stay in L1

// f(lanes, first, n) for the lanes first to first + n - 1 of [0, count), in parallel; `first` is
// a multiple of 4.
template <class F>
void for_lanes(const Tensor& rng, int64_t count, F&& f) {
  const RandomState state = random_state(rng);
  parallel_for((count + kLaneBlock - 1) / kLaneBlock, 8, [&](int64_t begin, int64_t end) {
    alignas(64) uint32_t lanes[kLaneBlock];
    for (int64_t block = begin; block < end; ++block) {
      const int64_t first = block * kLaneBlock, n = std::min(kLaneBlock, count - first);
      random_functions().lanes(state, static_cast<uint64_t>(first / 4), (n + 3) / 4, lanes);
      f(static_cast<const uint32_t*>(lanes), first, n);
    }
  });
}

}  // namespace ostinato
