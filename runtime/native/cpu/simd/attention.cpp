#include "cpu/simd/attention.hpp"

#include "cpu/simd/tile_product.hpp"
#include "scalar_math.hpp"

namespace ostinato::OSTINATO_ISA {
namespace {

template <class T>
void transpose(Rows<const T> from, int64_t rows, int64_t columns, T* to, int64_t padded) {
  constexpr int64_t kBlock = 16;
  for (int64_t r = 0; r < padded; r += kBlock) {
    const int64_t count = std::min(kBlock, rows - r);
    for (int64_t c = 0; c < columns; ++c) {
      T* target = to + c * padded + r;
      for (int64_t i = 0; i < count; ++i) target[i] = from.row(r + i)[c];
      for (int64_t i = std::max<int64_t>(count, 0); i < kBlock; ++i) target[i] = T{0};
    }
  }
}

int64_t padded_to(int64_t n) { return (n + kPadding - 1) / kPadding * kPadding; }

template <class T>
constexpr T kNothing = -std::numeric_limits<T>::infinity();

// Queries, scaled, side by side.
template <class T>
OSTINATO_INLINE void scale_queries(const AttentionHead<T>& head, int64_t first, int64_t count,
                                   T* __restrict to) {
  for (int64_t r = 0; r < count; ++r) {
    const T* __restrict from = head.query.row(first + r);
    for (int64_t j = 0; j < head.width; ++j) to[r * head.width + j] = from[j] * head.scale;
  }
}

// The masked scores of query i: -inf for keys from `seen` to `width` that it does not see. Rows
// are worked on in whole vectors.
template <class T>
OSTINATO_INLINE void mask_scores(const AttentionHead<T>& head, int64_t i, T* __restrict scores,
                                 int64_t seen, int64_t width) {
  if (head.mask != nullptr) {
    const T* mask = head.mask + i * head.mask_row;
    for (int64_t j = 0; j < seen; ++j) scores[j] += mask[j * head.mask_column];
  }
  for (int64_t j = seen; j < width; ++j) scores[j] = kNothing<T>;
}

// The scores become exponentials of what they are above `shift`; returns the sum of these.
template <class T>
OSTINATO_INLINE T exponentials(T* scores, T shift, int64_t width) {
  Lanes<Sum, T> total;
  for (int64_t j = 0; j < width; j += kLanes) {
    alignas(64) T block[kLanes];
    for (int k = 0; k < kLanes; ++k) block[k] = scalar::exp(scores[j + k] - shift);
    std::memcpy(scores + j, block, sizeof block);
    total.take(block);
  }
  return total.finish();
}

// Turns scores into exponentials above each row's largest score; leaves these in `tops` and the
// sums of the exponentials in `totals`.
template <class T>
OSTINATO_INLINE void weigh_rows(const AttentionHead<T>& head, int64_t first, int64_t count,
                                int64_t width, T* scores, T* tops, T* totals) {
  for (int64_t r = 0; r < count; ++r) {
    T* row = scores + r * head.padded;
    const int64_t seen = head.seen_by(first + r), used = padded_to(seen);
    mask_scores(head, first + r, row, seen, used);
    const T top = reduce_dense<Maximum>(static_cast<const T*>(row), used);
    tops[r] = top == kNothing<T> ? T{0} : top;
    totals[r] = exponentials(row, tops[r], used);
    std::fill(row + used, row + width, T{0});
  }
}

template <class T>
void forward(const AttentionHead<T>& head, int64_t first, int64_t count, Rows<T> out, T* logsumexp,
             T* scratch) {
  T* scores = scratch;
  T* query = scratch + kQueryBlock * head.padded;
  const int64_t keys = head.seen_by(first + count - 1), width = padded_to(keys);
  scale_queries(head, first, count, query);
  tile_product<T>(count, width, head.width, {query, head.width, 1}, head.key_columns, head.padded,
                  scores, head.padded, false);
  T tops[kQueryBlock] = {}, totals[kQueryBlock] = {};
  weigh_rows(head, first, count, width, scores, tops, totals);
  for (int64_t r = 0; r < kQueryBlock; ++r) {
    tops[r] += scalar::log(totals[r]);
    totals[r] = totals[r] == T{0} ? T{0} : T{1} / totals[r];
  }
  std::copy(tops, tops + count, logsumexp + first);
  tile_product<T>(count, head.value_width, keys, {scores, head.padded, 1}, head.value,
                  head.value_width, out.row(first), out.stride, false);
  for (int64_t r = 0; r < count; ++r) {
    T* row = out.row(first + r);
    for (int64_t j = 0; j < head.value_width; ++j) row[j] *= totals[r];
  }
}

template <class T>
OSTINATO_INLINE T dot_padded(const T* x, const T* y, int64_t n) {
  Lanes<Sum, T> lanes;
  for (int64_t j = 0; j < n; j += kLanes) {
    alignas(64) T block[kLanes];
    for (int k = 0; k < kLanes; ++k) block[k] = x[j + k] * y[j + k];
    lanes.take(block);
  }
  return lanes.finish();
}

// Turns the scores of a block into weights, and `slopes`, the gradients of the weights, into those
// of the masked scores.
template <class T>
void score_gradients(const AttentionHead<T>& head, const AttentionGradient<T>& gradient,
                     int64_t first, int64_t count, int64_t width, T* scores, T* slopes) {
  for (int64_t r = 0; r < count; ++r) {
    const int64_t i = first + r, seen = head.seen_by(i), used = padded_to(seen);
    T* __restrict weight = scores + r * head.padded;
    T* __restrict slope = slopes + r * head.padded;
    mask_scores(head, i, weight, seen, used);
    const T shift = gradient.logsumexp[i];
    exponentials(weight, shift == kNothing<T> ? T{0} : shift, used);
    const T along =
        dot_padded(gradient.g + i * head.value_width, gradient.out.row(i), head.value_width);
    for (int64_t j = 0; j < used; ++j) slope[j] = weight[j] * (slope[j] - along);
    std::fill(weight + used, weight + width, T{0});
    std::fill(slope + used, slope + width, T{0});
  }
}

// Adds what queries first to first + count - 1 give to the gradients of keys and values, and sets
// their own.
template <class T>
void backward_block(const AttentionHead<T>& head, const AttentionGradient<T>& gradient,
                    int64_t first, int64_t count, T* scratch) {
  T* scores = scratch;
  T* slopes = scores + kQueryBlock * head.padded;
  T* query = slopes + kQueryBlock * head.padded;
  const int64_t keys = head.seen_by(first + count - 1), width = padded_to(keys);
  const T* g = gradient.g + first * head.value_width;
  scale_queries(head, first, count, query);
  tile_product<T>(count, width, head.width, {query, head.width, 1}, head.key_columns, head.padded,
                  scores, head.padded, false);
  tile_product<T>(count, width, head.value_width, {g, head.value_width, 1}, head.value_columns,
                  head.padded, slopes, head.padded, false);
  score_gradients(head, gradient, first, count, width, scores, slopes);
  const Rows<T> query_g{gradient.query_g.row(first), gradient.query_g.stride};
  tile_product<T>(count, head.width, keys, {slopes, head.padded, 1}, head.key, head.width,
                  query_g.data, query_g.stride, false);
  for (int64_t r = 0; r < count; ++r) {
    for (int64_t j = 0; j < head.width; ++j) query_g.row(r)[j] *= head.scale;
  }
  tile_product<T>(keys, head.width, count, {slopes, 1, head.padded}, query, head.width,
                  gradient.key_g.data, gradient.key_g.stride, true);
  tile_product<T>(keys, head.value_width, count, {scores, 1, head.padded}, g, head.value_width,
                  gradient.value_g.data, gradient.value_g.stride, true);
}

template <class T>
void backward(const AttentionHead<T>& head, const AttentionGradient<T>& gradient, T* scratch) {
  for (int64_t j = 0; j < head.keys; ++j) {
    std::fill_n(gradient.key_g.row(j), head.width, T{0});
    std::fill_n(gradient.value_g.row(j), head.value_width, T{0});
  }
  for (int64_t first = 0; first < head.queries; first += kQueryBlock) {
    backward_block(head, gradient, first, std::min(kQueryBlock, head.queries - first), scratch);
  }
}

}  // namespace

void attention_fns(AttentionFns<float>& fns) {
  fns = {transpose<float>, forward<float>, backward<float>};
}
void attention_fns(AttentionFns<double>& fns) {
  fns = {transpose<double>, forward<double>, backward<double>};
}

}  // namespace ostinato::OSTINATO_ISA
