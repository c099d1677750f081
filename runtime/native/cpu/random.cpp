// Random tensors of numbers that are drawn one by one; dropout.
#include "cpu/random.hpp"

#include <cmath>
#include <numbers>
#include <string>

#include "cpu/by_dtype.hpp"
#include "cpu/checks.hpp"
#include "cpu/copy.hpp"
#include "cpu/isa.hpp"
#include "dispatch/op_call.hpp"

namespace ostinato {

OSTINATO_PER_ISA(RandomFns random_fns();)

const RandomFns& random_functions() {
  static const RandomFns fns = OSTINATO_CHOOSE(random_fns());
  return fns;
}

RandomState random_state(const Tensor& rng) {
  const Tensor state = contiguous_as(rng, DType::int64_);
  if (state.numel() != 2) {
    throw Error(ErrorKind::shape, "a random state has " + std::to_string(state.numel()) +
                                      " elements; give an int64 tensor (seed, offset)");
  }
  const uint64_t* p = state.data<uint64_t>();
  return {p[0], p[1]};
}

namespace {

void rng_advance(const OpCall& call, std::span<Tensor> out) {
  const RandomState state = random_state(call.operand(0));
  const ResultBuffer next(out[0], DType::int64_);
  const uint64_t count = static_cast<uint64_t>(call.attr(0).as_int());
  next.data<uint64_t>()[0] = state.seed;
  next.data<uint64_t>()[1] = state.offset + (count + 3) / 4;
  next.store();
}
OSTINATO_KERNEL(rng_advance, rng_advance);

void rand(const OpCall& call, std::span<Tensor> out) {
  const DType dtype = compute_dtype(out[0].dtype());
  const ResultBuffer y(out[0], dtype);
  const int bits = uniform_bits(out[0].dtype());
  for_real(dtype, [&]<class T>(T) {
    const T unit = static_cast<T>(std::ldexp(1.0, -bits));
    for_lanes(call.operand(0), out[0].numel(),
              [&](const uint32_t* lanes, int64_t first, int64_t n) {
                T* to = y.data<T>() + first;
                for (int64_t i = 0; i < n; ++i) {
                  to[i] = static_cast<T>(lanes[i] >> (32 - bits)) * unit;
                }
              });
  });
  y.store();
}
OSTINATO_KERNEL(rand, rand);

// Box-Muller pairs of all 32 bits of neighbouring lanes.
void wide_normals(const Tensor& rng, int64_t count, double* to) {
  for_lanes(rng, count, [=](const uint32_t* lanes, int64_t first, int64_t n) {
    for (int64_t i = 0; i < n; i += 2) {
      const double radius = std::sqrt(-2.0 * std::log(lanes[i] * 0x1p-32 + 0x1p-32));
      const double angle = 2.0 * std::numbers::pi * (lanes[i + 1] * 0x1p-32);
      to[first + i] = radius * std::cos(angle);
      if (i + 1 < n) to[first + i + 1] = radius * std::sin(angle);
    }
  });
}

void randn(const OpCall& call, std::span<Tensor> out) {
  const DType dtype = compute_dtype(out[0].dtype());
  const ResultBuffer y(out[0], dtype);
  const int64_t count = out[0].numel();
  if (dtype == DType::float64_) {
    wide_normals(call.operand(0), count, y.data<double>());
  } else {
    const RandomState state = random_state(call.operand(0));
    parallel_for(count, 2048, [&](int64_t begin, int64_t end) {
      random_functions().normals(state, begin, end - begin, y.data<float>() + begin);
    });
  }
  y.store();
}
OSTINATO_KERNEL(randn, randn);

void randint(const OpCall& call, std::span<Tensor> out) {
  const int64_t low = call.attr(0).as_int(), high = call.attr(1).as_int();
  const uint64_t span = check_span(low, high);
  const ResultBuffer y(out[0], DType::int64_);
  for_lanes(call.operand(0), out[0].numel(), [&](const uint32_t* lanes, int64_t first, int64_t n) {
    uint64_t* to = y.data<uint64_t>() + first;
    for (int64_t i = 0; i < n; ++i) to[i] = static_cast<uint64_t>(low) + (lanes[i] * span >> 32);
  });
  y.store();
}
OSTINATO_KERNEL(randint, randint);

void dropout(const OpCall& call, std::span<Tensor> out) {
  if (!call.attr(0).as_bool()) return copy_into(out[0], call.operand(0));
  const DType dtype = compute_dtype(out[0].dtype());
  const Tensor x = contiguous_as(call.operand(0), dtype);
  const ResultBuffer y(out[0], dtype);
  const double given = call.operand(1).item_double();
  const float p = static_cast<float>(given);
  const RandomFns& fns = random_functions();
  const auto run = [&](const uint32_t* lanes, int64_t first, int64_t n) {
    if (dtype == DType::float64_) {
      return fns.drop_wide(lanes, p, x.data<double>() + first, 1.0 / (1.0 - given),
                           y.data<double>() + first, n);
    }
    fns.drop(lanes, p, x.data<float>() + first, 1.0f / (1.0f - p), y.data<float>() + first, n);
  };
  for_lanes(call.operand(2), x.numel(), run);
  y.store();
}
OSTINATO_KERNEL(dropout, dropout);

}  // namespace
}  // namespace ostinato
