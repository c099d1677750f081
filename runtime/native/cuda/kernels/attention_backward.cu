// The gradients of attention, its weights computed again from what the forward kernel has left: one
// kernel for those of queries, one for those of keys and values, so that no two blocks add to one
// place.
#include "cuda/kernels/attention.cuh"
#include "cuda/kernels/attention_bfloat16.cuh"
#include "cuda/kernels/attention_queries.cuh"

namespace ostinato::cuda {
namespace {

// A shift of -inf means that the row looked nowhere; its scores are -inf too.
__device__ __forceinline__ float shift_of(float logsumexp) {
  return logsumexp == Scorer::kNever ? 0.0f : logsumexp * kLog2OfE;
}

template <class Factors>
__device__ __forceinline__ void query_gradient(const AttentionBackwardParams& b) {
  const AttentionParams& p = b.given;
  using Keys = typename Factors::template Tile<Use::both>;
  using Values = typename Factors::template Tile<Use::scores>;
  __shared__ typename Factors::Unit key_memory[Keys::kSize], value_memory[Values::kSize];
  const Keys keys(key_memory);
  const Values values(value_memory);
  const QueryBlock block(p);
  const uint32_t head = block.head, first_row = block.first_row;
  typename Factors::Rows query(HeadMatrix(p.query, head, p.queries, p.width), first_row);
  typename Factors::Rows slope(HeadMatrix(b.g, head, p.queries, p.value_width), first_row);
  const typename Factors::Rows out(HeadMatrix(p.out, head, p.queries, p.value_width), first_row);
  float along[2], shift[2];
  slope.dot(out, along);
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const uint32_t row = first_row + lane_row() + 8 * half;
    const size_t at = size_t{head} * p.queries + row;
    shift[half] = row < p.queries ? shift_of(p.logsumexp[at]) : 0.0f;
    if (lane_column() == 0 && row < p.queries) b.along[at] = along[half];
  }
  query.round();
  slope.round();
  const Scorer scorer(p, head);
  typename Factors::Sums sums;
  over_keys<Factors>(p, block, keys, values, [&](uint32_t first_key, uint32_t first) {
    typename Factors::Scores weights, slopes;
    multiply_rows(weights, query, keys, first);
    multiply_rows(slopes, slope, values, first);
    scorer.score_all(weights, first_row, first_key);
#pragma unroll
    for (uint32_t n = 0; n < Factors::kStep / 8; ++n) {
#pragma unroll
      for (uint32_t i = 0; i < 4; ++i) {
        const float weight = exp2_of(weights[n][i] - shift[i / 2]);
        slopes[n][i] = weight * (slopes[n][i] - along[i / 2]);
      }
    }
    sums.add(slopes, keys, first);
  });
  for (int half = 0; half < 2; ++half) sums.scale(half, p.scale);
  sums.store(HeadMatrix(b.query_g, head, p.queries, p.width), first_row);
}

template <class Factors>
__device__ __forceinline__ void key_gradient(const AttentionBackwardParams& b) {
  const AttentionParams& p = b.given;
  using Tile = typename Factors::template Tile<Use::both>;
  constexpr uint32_t kStep = Factors::kStep;
  __shared__ typename Factors::Unit memory[2][Tile::kSize];
  __shared__ float shift[kAttentionBlock], along[kAttentionBlock];
  const Tile queries(memory[0]), slopes_tile(memory[1]);
  // The first keys first: the most causal queries look at them.
  const uint32_t head = blockIdx.x % p.heads, block = blockIdx.x / p.heads;
  const uint32_t first_row = block * kAttentionBlock + threadIdx.x / kWarp * 16;
  const HeadMatrix query(p.query, head, p.queries, p.width);
  const HeadMatrix g(b.g, head, p.queries, p.value_width);
  typename Factors::Rows key(HeadMatrix(p.key, head, p.keys, p.width), first_row);
  typename Factors::Rows value(HeadMatrix(p.value, head, p.keys, p.value_width), first_row);
  key.round();
  value.round();
  const Scorer scorer(p, head);
  typename Factors::Sums key_sums, value_sums;
  for (uint32_t first = p.is_causal ? block * kAttentionBlock : 0; first < p.queries;
       first += kAttentionBlock) {
    const typename Factors::Staged next_queries(query, first), next_slopes(g, first);
    __syncthreads();  // the tiles before have been used
    next_queries.put(queries);
    next_slopes.put(slopes_tile);
    if (threadIdx.x < kAttentionBlock && first + threadIdx.x < p.queries) {
      const size_t at = size_t{head} * p.queries + first + threadIdx.x;
      shift[threadIdx.x] = shift_of(p.logsumexp[at]);
      along[threadIdx.x] = b.along[at];
    }
    __syncthreads();
#pragma unroll 1
    for (uint32_t step = 0; step < kAttentionBlock && first + step < p.queries; step += kStep) {
      const uint32_t first_query = first + step;
      if (p.is_causal && first_query + kStep <= first_row) continue;
      typename Factors::Scores weights, slopes;
      multiply_rows(weights, key, queries, step);
      multiply_rows(slopes, value, slopes_tile, step);
      scorer.score_all<true>(weights, first_row, first_query);
#pragma unroll
      for (uint32_t n = 0; n < kStep / 8; ++n) {
#pragma unroll
        for (uint32_t i = 0; i < 4; ++i) {
          const uint32_t at = step + 8 * n + 2 * lane_column() + i % 2;
          // Outside of the matrix there is neither a shift nor a sum.
          const bool looks = weights[n][i] != Scorer::kNever;
          weights[n][i] = looks ? exp2_of(weights[n][i] - shift[at]) : 0.0f;
          slopes[n][i] = looks ? weights[n][i] * (slopes[n][i] - along[at]) : 0.0f;
        }
      }
      value_sums.add(weights, slopes_tile, step);
      key_sums.add(slopes, queries, step);
    }
  }
  for (int half = 0; half < 2; ++half) key_sums.scale(half, p.scale);
  key_sums.store(HeadMatrix(b.key_g, head, p.keys, p.width), first_row);
  value_sums.store(HeadMatrix(b.value_g, head, p.keys, p.value_width), first_row);
}

}  // namespace

#define OSTINATO_ATTENTION(NAME, BLOCKS, ...)                                                      \
  OSTINATO_GLOBAL_OF(kAttentionThreads, BLOCKS, attention_query_##NAME, AttentionBackwardParams) { \
    query_gradient<__VA_ARGS__>(p);                                                                \
  }                                                                                                \
  OSTINATO_GLOBAL_OF(kAttentionThreads, BLOCKS, attention_key_##NAME, AttentionBackwardParams) {   \
    key_gradient<__VA_ARGS__>(p);                                                                  \
  }
OSTINATO_ATTENTION(tf32_32, 4, FloatFactors<false, 32>)
OSTINATO_ATTENTION(tf32_64, 2, FloatFactors<false, 64>)
OSTINATO_ATTENTION(float32_64, 2, FloatFactors<true, 64>)
OSTINATO_ATTENTION(bfloat16_64, 3, BFloat16Factors<64>)

}  // namespace ostinato::cuda
