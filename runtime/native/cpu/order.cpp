// The largest or smallest elements along an axis, in order: topk.
#include <algorithm>
#include <numeric>
#include <vector>

#include "core/parallel.hpp"
#include "cpu/around.hpp"
#include "cpu/copy.hpp"

namespace ostinato {
namespace {

constexpr int64_t kGrain = 8192;  // elements that one task looks at

// NaN is larger than all numbers; the earlier of equal elements comes first.
template <class T, bool kLargest>
bool precedes(const T* line, int64_t step, int64_t a, int64_t b) {
  const T x = line[a * step], y = line[b * step];
  const T first = kLargest ? x : y, second = kLargest ? y : x;
  if (first > second || (first != first && second == second)) return true;
  return !(second > first || (second != second && first == first)) && a < b;
}

// The first `k` of each line.
template <class T, bool kLargest>
void first_of_lines(const Around& lines, int64_t k, const T* x, T* values, int64_t* index) {
  const auto [outer, n, inner] = lines;
  const auto run = [&](int64_t begin, int64_t end) {
    std::vector<int64_t> order(static_cast<size_t>(n));
    for (int64_t i = begin; i < end; ++i) {
      const int64_t column = i % inner, row = i / inner;
      const T* line = x + row * n * inner + column;
      std::iota(order.begin(), order.end(), int64_t{0});
      std::partial_sort(order.begin(), order.begin() + k, order.end(), [&](int64_t a, int64_t b) {
        return precedes<T, kLargest>(line, inner, a, b);
      });
      for (int64_t j = 0; j < k; ++j) {
        const int64_t from = order[static_cast<size_t>(j)], to = (row * k + j) * inner + column;
        values[to] = line[from * inner];
        index[to] = from;
      }
    }
  };
  parallel_for(outer * inner, std::max<int64_t>(1, kGrain / n), run);
}

void topk(const OpCall& call, std::span<Tensor> out) {
  const Tensor& given = call.operand(0);
  const DType dtype = is_float(given.dtype()) ? compute_dtype(given.dtype()) : DType::int64_;
  const Tensor x = contiguous_as(given, dtype);
  const ResultBuffer values(out[0], dtype), index(out[1], DType::int64_);
  if (out[0].numel() == 0) return;
  const Around lines(call, call.attr(1).as_int(), x.sizes());
  const auto run = [&]<class T>(T) {
    const auto of_lines =
        call.attr(2).as_bool() ? first_of_lines<T, true> : first_of_lines<T, false>;
    of_lines(lines, call.attr(0).as_int(), x.data<T>(), values.data<T>(), index.data<int64_t>());
  };
  if (dtype == DType::int64_)
    run(int64_t{});
  else if (dtype == DType::float64_)
    run(double{});
  else
    run(float{});
  values.store();
  index.store();
}
OSTINATO_KERNEL(topk, topk);

}  // namespace
}  // namespace ostinato
