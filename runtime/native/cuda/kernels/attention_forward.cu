// Attention without the matrix of scores in memory (FlashAttention-2, Dao 2023): a block takes a
// head and kAttentionBlock of its queries, keys and values come in tiles.
#include "cuda/kernels/attention.cuh"

namespace ostinato::cuda {
namespace {

// The weighted sums of 16 queries over the keys so far, relative to the highest score.
template <bool kExact, int kWidth>
class OnlineSums {
 public:
  // Takes kStep more keys with their scores.
  __device__ __forceinline__ void add(Scores<kExact>& scores, const Tile<kWidth>& values,
                                      uint32_t first) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float top = top_[half];
#pragma unroll
      for (uint32_t n = 0; n < kStep<kExact> / 8; ++n) {
        top = fmaxf(top, fmaxf(scores[n][2 * half], scores[n][2 * half + 1]));
      }
      top = over_columns(top, [](float a, float b) { return fmaxf(a, b); });
      const float shift = top == Scorer::kNever ? 0.0f : top;
      const float factor = exp2f(top_[half] - shift);
      float total = 0;
#pragma unroll
      for (uint32_t n = 0; n < kStep<kExact> / 8; ++n) {
#pragma unroll
        for (int i = 2 * half; i < 2 * half + 2; ++i) {
          scores[n][i] = exp2f(scores[n][i] - shift);
          total += scores[n][i];
        }
      }
      total_[half] = total_[half] * factor + total;
      top_[half] = top;
      sums_.scale(half, factor);
    }
    sums_.template add<kExact>(scores, values, first);
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
  Sums16<kWidth> sums_;
  float top_[2] = {Scorer::kNever, Scorer::kNever};
  float total_[2] = {};  // of this lane
};

template <bool kExact, int kWidth>
__device__ __forceinline__ void attend(const AttentionParams& p) {
  __shared__ Vector<float> memory[2][Tile<kWidth>::kSize];
  const Tile<kWidth> keys(memory[0]), values(memory[1]);
  // The last queries first: causal ones look at the most keys.
  const uint32_t head = blockIdx.x % p.heads, block = p.blocks - 1 - blockIdx.x / p.heads;
  const uint32_t first_row = block * kAttentionBlock + threadIdx.x / kWarp * 16;
  const HeadMatrix key(p.key, head, p.keys, p.width);
  const HeadMatrix value(p.value, head, p.keys, p.value_width);
  Rows16<kWidth> query(HeadMatrix(p.query, head, p.queries, p.width), first_row);
  const Scorer scorer(p, head);
  OnlineSums<kExact, kWidth> sums;
  query.template round<kExact>();
  const uint32_t end = p.is_causal ? min(p.keys, (block + 1) * kAttentionBlock) : p.keys;
  for (uint32_t first = 0; first < end; first += kAttentionBlock) {
    const Staged<kWidth> next_keys(key, first), next_values(value, first);
    __syncthreads();  // the tiles before have been used
    next_keys.template put<kExact>(keys);
    next_values.template put<kExact>(values);
    __syncthreads();
#pragma unroll 1
    for (uint32_t step = 0; step < kAttentionBlock; step += kStep<kExact>) {
      const uint32_t first_key = first + step;
      if (first_key >= end || (p.is_causal && first_key > first_row + 15)) break;
      Scores<kExact> scores;
      multiply_rows<kExact>(scores, query, keys, step);
      const bool all = scorer.sees_all(first_row, first_key, 16, kStep<kExact>);
#pragma unroll
      for (uint32_t n = 0; n < kStep<kExact> / 8; ++n) {
#pragma unroll
        for (uint32_t i = 0; i < 4; ++i) {
          const uint32_t row = first_row + lane_row() + i / 2 * 8;
          const uint32_t column = first_key + 8 * n + 2 * lane_column() + i % 2;
          float& s = scores[n][i];
          s = all ? s * scorer.factor() : scorer.score(s, row, column);
        }
      }
      sums.add(scores, values, step);
    }
  }
  sums.store(HeadMatrix(p.out, head, p.queries, p.value_width),
             p.logsumexp + size_t{head} * p.queries, first_row, p.queries);
}

}  // namespace

#define OSTINATO_ATTENTION(NAME, EXACT, WIDTH, BLOCKS)                               \
  OSTINATO_GLOBAL_OF(kAttentionThreads, BLOCKS, attention_##NAME, AttentionParams) { \
    attend<EXACT, WIDTH>(p);                                                         \
  }
OSTINATO_ATTENTION(tf32_32, false, 32, 4)
OSTINATO_ATTENTION(tf32_64, false, 64, 2)
OSTINATO_ATTENTION(float32_64, true, 64, 2)

}  // namespace ostinato::cuda
