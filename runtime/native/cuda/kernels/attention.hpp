// Parameters of the kernels of attention.
#pragma once
#include "cuda/kernels/params.hpp"

namespace ostinato::cuda {

inline constexpr uint32_t kAttentionWarps = 4;
inline constexpr uint32_t kAttentionThreads = 32 * kAttentionWarps;
inline constexpr uint32_t kAttentionBlock = 16 * kAttentionWarps;  // rows of a block: 16 a warp
inline constexpr uint32_t kMostWidth = 64;                         // of a head

// The matrices of all heads: rows lie `row` bytes apart, elements of a row side by side; where
// `is_vectorised`, kVector of them begin aligned. Null where an operand is absent.
struct Matrices {
  char* memory;
  DType dtype;
  bool is_vectorised;
  int64_t row;
  Axes heads;
};

// A mask, whose columns may lie apart; bool tells where to look, numbers are added.
struct AttentionMask {
  const char* memory;
  DType dtype;
  int64_t row, column;
  Axes heads;
};

// Scores are query key^T times `scale`. `logsumexp`, and in the gradient `along` (of each row the
// sum of g times out), are float32 (heads, queries). Results are dense.
struct AttentionParams {
  uint32_t heads, queries, keys;
  uint32_t blocks;  // of queries, or of keys, for each head
  uint32_t width, value_width;
  bool is_causal;
  float scale;
  Matrices query, key, value, out;
  AttentionMask mask;
  float* logsumexp;
};

struct AttentionBackwardParams {
  AttentionParams given;
  Matrices g;
  Matrices query_g, key_g, value_g;
  float* along;
};

static_assert(sizeof(AttentionBackwardParams) <= 4096, "what a launch takes");

}  // namespace ostinato::cuda
