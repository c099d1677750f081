// Attention over one pair of heads: blocks of queries against all their keys.
#pragma once
#include <cstdint>

namespace ostinato {

inline constexpr int64_t kQueryBlock = 48;  // queries whose scores are in the cache together
inline constexpr int64_t kPadding = 16;     // widths are multiples of this

// Rows of elements side by side, `stride` elements apart.
template <class T>
struct Rows {
  T* data = nullptr;
  int64_t stride = 0;

  T* row(int64_t i) const { return data + i * stride; }
};

// One matrix of each operand. Widths are multiples of kPadding, columns beyond the real ones 0.
// Keys and values are dense: rows far apart share few places of the nearest cache.
template <class T>
struct AttentionHead {
  int64_t queries, keys;
  int64_t width, value_width;
  bool causal;
  T scale;
  Rows<const T> query;
  const T* key;  // for the gradient
  const T* value;
  // Added to the scores, -inf for what is not to be seen; null for no mask.
  const T* mask;
  int64_t mask_row, mask_column;
  // The keys and the values transposed: `padded` elements a row, those beyond `keys` 0.
  const T* key_columns;
  const T* value_columns;  // for the gradient
  int64_t padded;

  int64_t seen_by(int64_t i) const { return causal && i + 1 < keys ? i + 1 : keys; }
};

template <class T>
struct AttentionGradient {
  const T* g;  // dense
  Rows<const T> out;
  const T* logsumexp;
  Rows<T> query_g, key_g, value_g;
};

template <class T>
struct AttentionFns {
  // to[c * padded + r] = from[r * stride + c], zeros for r from `rows` to `padded`.
  void (*transpose)(Rows<const T> from, int64_t rows, int64_t columns, T* to, int64_t padded);
  // Result rows first to first + count - 1; `scratch` has kQueryBlock * (padded + width) elements.
  void (*forward)(const AttentionHead<T>& head, int64_t first, int64_t count, Rows<T> out,
                  T* logsumexp, T* scratch);
  // All gradients of a head; `scratch` has kQueryBlock * (2 * padded + width) elements.
  void (*backward)(const AttentionHead<T>& head, const AttentionGradient<T>& gradient, T* scratch);
};

}  // namespace ostinato
