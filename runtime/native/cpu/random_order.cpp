// Random orders and choices: randperm and multinomial.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "cpu/checks.hpp"
#include "cpu/copy.hpp"
#include "cpu/random.hpp"
#include "dispatch/op_call.hpp"

namespace ostinato {
namespace {

void randperm(const OpCall& call, std::span<Tensor> out) {
  const int64_t count = out[0].numel();
  std::vector<uint32_t> keys(static_cast<size_t>(count));
  for_lanes(call.operand(0), count, [&](const uint32_t* lanes, int64_t first, int64_t n) {
    std::copy(lanes, lanes + n, keys.data() + first);
  });
  const ResultBuffer y(out[0], DType::int64_);
  int64_t* order = y.data<int64_t>();
  std::iota(order, order + count, int64_t{0});
  std::sort(order, order + count, [&](int64_t a, int64_t b) {
    const uint32_t x = keys[static_cast<size_t>(a)], y = keys[static_cast<size_t>(b)];
    return x != y ? x < y : a < b;
  });
  y.store();
}
OSTINATO_KERNEL(randperm, randperm);

struct Rows {
  const double* weights;
  int64_t count;
  int64_t n;
};

void check_weights(const Rows& rows, int64_t needed) {
  for (int64_t r = 0; r < rows.count; ++r) {
    const double* row = rows.weights + r * rows.n;
    const auto positive = std::count_if(row, row + rows.n, [](double w) { return w > 0; });
    const bool negative = std::any_of(row, row + rows.n, [](double w) { return w < 0; });
    if (!negative && positive >= needed) continue;
    fail_weights();
  }
}

std::vector<double> uniforms(const Tensor& rng, int64_t count) {
  std::vector<double> numbers(static_cast<size_t>(count));
  for_lanes(rng, count, [&](const uint32_t* lanes, int64_t first, int64_t n) {
    for (int64_t i = 0; i < n; ++i) {
      numbers[static_cast<size_t>(first + i)] = static_cast<double>(lanes[i] >> 8) * 0x1p-24;
    }
  });
  return numbers;
}

void draw_again(const Rows& rows, const Tensor& rng, int64_t samples, int64_t* chosen) {
  const std::vector<double> u = uniforms(rng, rows.count * samples);
  std::vector<double> running(static_cast<size_t>(rows.n));
  for (int64_t r = 0; r < rows.count; ++r) {
    const double* row = rows.weights + r * rows.n;
    std::partial_sum(row, row + rows.n, running.begin());
    for (int64_t j = r * samples; j < (r + 1) * samples; ++j) {
      const double target = u[static_cast<size_t>(j)] * running.back();
      chosen[j] = std::upper_bound(running.begin(), running.end(), target) - running.begin();
    }
  }
}

void draw_once(const Rows& rows, const Tensor& rng, int64_t samples, int64_t* chosen) {
  const std::vector<double> u = uniforms(rng, rows.count * rows.n);
  std::vector<std::pair<double, int64_t>> keys(static_cast<size_t>(rows.n));
  for (int64_t r = 0; r < rows.count; ++r) {
    for (int64_t k = 0; k < rows.n; ++k) {
      const int64_t at = r * rows.n + k;
      const double w = rows.weights[at];
      const double key = w > 0 ? -std::log(u[static_cast<size_t>(at)] + 0x1p-24) / w
                               : std::numeric_limits<double>::infinity();
      keys[static_cast<size_t>(k)] = {key, k};
    }
    std::partial_sort(keys.begin(), keys.begin() + samples, keys.end());
    for (int64_t j = 0; j < samples; ++j) {
      chosen[r * samples + j] = keys[static_cast<size_t>(j)].second;
    }
  }
}

void multinomial(const OpCall& call, std::span<Tensor> out) {
  const Tensor x = contiguous_as(call.operand(0), DType::float64_);
  const int64_t samples = call.attr(0).as_int();
  const bool replacement = call.attr(1).as_bool();
  Rows rows{x.data<double>(), 1, x.size(-1)};
  for (int i = 0; i + 1 < x.ndim(); ++i) rows.count *= x.size(i);
  check_weights(rows, replacement ? 1 : samples);
  const ResultBuffer y(out[0], DType::int64_);
  (replacement ? draw_again : draw_once)(rows, call.operand(1), samples, y.data<int64_t>());
  y.store();
}
OSTINATO_KERNEL(multinomial, multinomial);

}  // namespace
}  // namespace ostinato
