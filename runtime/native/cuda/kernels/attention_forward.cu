// Attention without the matrix of scores in memory (FlashAttention-2, Dao 2023): a block takes a
// head and kAttentionBlock of its queries, keys and values come in tiles.
#include "cuda/kernels/attention.cuh"
#include "cuda/kernels/attention_bfloat16.cuh"
#include "cuda/kernels/attention_queries.cuh"

namespace ostinato::cuda {
namespace {

// The weighted sums of 16 queries over the keys so far, relative to the highest score.
template <class Factors>
class OnlineSums {
  using Scores = typename Factors::Scores;
  static constexpr uint32_t kBlocks = Factors::kStep / 8;

 public:
  // Takes kStep more keys with their scores.
  template <class Tile>
  __device__ __forceinline__ void add(Scores& scores, const Tile& values, uint32_t first) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float top = top_[half];
#pragma unroll
      for (uint32_t n = 0; n < kBlocks; ++n) {
        top = fmaxf(top, fmaxf(scores[n][2 * half], scores[n][2 * half + 1]));
      }
      top = over_columns(top, [](float a, float b) { return fmaxf(a, b); });
      const float shift = top == Scorer::kNever ? 0.0f : top;
      const float factor = exp2_of(top_[half] - shift);
      float total = 0;
#pragma unroll
      for (uint32_t n = 0; n < kBlocks; ++n) {
#pragma unroll
        for (int i = 2 * half; i < 2 * half + 2; ++i) {
          scores[n][i] = exp2_of(scores[n][i] - shift);
          total += scores[n][i];
        }
      }
      total_[half] = total_[half] * factor + total;
      top_[half] = top;
      sums_.scale(half, factor);
    }
    sums_.add(scores, values, first);
  }

  // Divides by the sums of weights; a row that looked nowhere is zeros.
  __device__ __forceinline__ void store(const HeadMatrix& out, float* logsumexp, uint32_t first,
                                        uint32_t rows) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float total = sum_over_columns(total_[half]);
      sums_.scale(half, total == 0.0f ? 0.0f : 1.0f / total);
      const uint32_t row = first + lane_row() + 8 * half;
      if (lane_column() != 0 || row >= rows) continue;
      const float top = top_[half] == Scorer::kNever ? 0.0f : top_[half] * kLogOf2;
      logsumexp[row] = logf(total) + top;
    }
    sums_.store(out, first);
  }

 private:
  typename Factors::Sums sums_;
  float top_[2] = {Scorer::kNever, Scorer::kNever};
  float total_[2] = {};  // of this lane
};

template <class Factors>
__device__ __forceinline__ void attend(const AttentionParams& p) {
  using Keys = typename Factors::template Tile<Use::scores>;
  using Values = typename Factors::template Tile<Use::sums>;
  __shared__ typename Factors::Unit key_memory[Keys::kSize], value_memory[Values::kSize];
  const Keys keys(key_memory);
  const Values values(value_memory);
  const QueryBlock block(p);
  typename Factors::Rows query(HeadMatrix(p.query, block.head, p.queries, p.width),
                               block.first_row);
  const Scorer scorer(p, block.head);
  OnlineSums<Factors> sums;
  query.round();
  over_keys<Factors>(p, block, keys, values, [&](uint32_t first_key, uint32_t first) {
    typename Factors::Scores scores;
    multiply_rows(scores, query, keys, first);
    scorer.score_all(scores, block.first_row, first_key);
    sums.add(scores, values, first);
  });
  sums.store(HeadMatrix(p.out, block.head, p.queries, p.value_width),
             p.logsumexp + size_t{block.head} * p.queries, block.first_row, p.queries);
}

}  // namespace

#define OSTINATO_ATTENTION(NAME, BLOCKS, ...)                                        \
  OSTINATO_GLOBAL_OF(kAttentionThreads, BLOCKS, attention_##NAME, AttentionParams) { \
    attend<__VA_ARGS__>(p);                                                          \
  }
OSTINATO_ATTENTION(tf32_32, 4, FloatFactors<false, 32>)
OSTINATO_ATTENTION(tf32_64, 2, FloatFactors<false, 64>)
OSTINATO_ATTENTION(float32_64, 2, FloatFactors<true, 64>)
OSTINATO_ATTENTION(bfloat16_64, 4, BFloat16Factors<64>)

}  // namespace ostinato::cuda
