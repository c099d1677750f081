// Attention's factors as bfloat16 two in a register, for mma.m16n8k16.
//
// By the instruction a lane (g, t), as in attention.cuh, holds elements (g or g + 8, 2t or 2t + 1
// and those 8 further) of the left factor, (2t or 2t + 1 and those 8 further, g) of the right one.
// Which terms a sum pairs is free here too: numbers 2t, 2t + 1 and those 8 further are taken for
// four neighbouring elements in memory.
#pragma once
#include "cuda/kernels/attention.cuh"

namespace ostinato::cuda {

// Eight elements side by side, or two rows of four, whose pairs lie one above the other.
struct alignas(16) Packed {
  uint32_t at[4];
};

// kAttentionBlock rows in shared memory: as they are, for scores; for sums in pairs, of which a
// word has what both rows have in a column. Units are exchanged within a row so that eight lanes
// that read at once meet in no bank.
template <int kWidth, Use use>
class PackedTile {
 public:
  static constexpr bool kHasRows = use != Use::sums, kHasPairs = use != Use::scores;
  static constexpr uint32_t kRowUnits = kWidth / 8, kPairUnits = kWidth / 4;
  static constexpr uint32_t kRowsSize = kHasRows ? kAttentionBlock * kRowUnits : 0;
  static constexpr uint32_t kPairsSize = kHasPairs ? kAttentionBlock / 2 * kPairUnits : 0;
  static constexpr uint32_t kSize = kRowsSize + kPairsSize;

  __device__ explicit PackedTile(Packed* memory) : memory_(memory) {}

  // Columns from 8 * unit of a row.
  __device__ __forceinline__ Packed& row(uint32_t r, uint32_t unit) const {
    return memory_[r * kRowUnits + (unit ^ (r & 1) << 2)];
  }
  // Columns from 4 * unit of rows 2 * pair and the next.
  __device__ __forceinline__ Packed& pair(uint32_t pair, uint32_t unit) const {
    return memory_[kRowsSize + pair * kPairUnits + (unit ^ (pair & 3) << 1)];
  }

 private:
  Packed* memory_;
};

// This thread's part of a tile on its way from memory: eight columns of both rows of pairs.
template <int kWidth>
class PackedStaged {
 public:
  __device__ __forceinline__ PackedStaged(const HeadMatrix& from, uint32_t first) {
#pragma unroll
    for (uint32_t j = 0; j < kEach; ++j) {
#pragma unroll
      for (uint32_t k = 0; k < 4; ++k) {
        from.read_packed(first + 2 * pair(j) + k / 2, 8 * unit() + k % 2 * 4,
                         &rows_[j][k / 2].at[k % 2 * 2]);
      }
    }
  }
  template <class Tile>
  __device__ __forceinline__ void put(const Tile& tile) const {
#pragma unroll
    for (uint32_t j = 0; j < kEach; ++j) {
      const Packed &upper = rows_[j][0], &lower = rows_[j][1];
      if constexpr (Tile::kHasRows) {
        tile.row(2 * pair(j), unit()) = upper;
        tile.row(2 * pair(j) + 1, unit()) = lower;
      }
      if constexpr (Tile::kHasPairs) {
#pragma unroll
        for (uint32_t half = 0; half < 2; ++half) {
          Packed columns;
#pragma unroll
          for (uint32_t k = 0; k < 4; ++k) {
            const uint32_t a = upper.at[2 * half + k / 2], b = lower.at[2 * half + k / 2];
            columns.at[k] = k % 2 ? a >> 16 | (b & 0xffff0000u) : (a & 0xffffu) | b << 16;
          }
          tile.pair(pair(j), 2 * unit() + half) = columns;
        }
      }
    }
  }

 private:
  static constexpr uint32_t kUnits = kWidth / 8;
  static constexpr uint32_t kEach = kAttentionBlock / 2 * kUnits / kAttentionThreads;
  __device__ static uint32_t pair(uint32_t j) {
    return (j * kAttentionThreads + threadIdx.x) / kUnits;
  }
  __device__ static uint32_t unit() { return threadIdx.x % kUnits; }

  Packed rows_[kEach][2];
};

// This lane's part of 16 rows as a left factor: eight neighbouring elements of row g and of g + 8
// out of every 32.
template <int kWidth>
struct PackedRows {
  Packed at[kWidth / 32][2];

  __device__ __forceinline__ PackedRows(const HeadMatrix& from, uint32_t first) {
#pragma unroll
    for (uint32_t s = 0; s < kWidth / 32; ++s) {
#pragma unroll
      for (uint32_t k = 0; k < 4; ++k) {
        from.read_packed(first + lane_row() + k / 2 * 8, 32 * s + 8 * lane_column() + k % 2 * 4,
                         &at[s][k / 2].at[k % 2 * 2]);
      }
    }
  }
  __device__ __forceinline__ void round() {}
  // Of each of this lane's rows the sum of products with the other's elements.
  __device__ __forceinline__ void dot(const PackedRows& other, float* sums) const {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float sum = 0;
#pragma unroll
      for (uint32_t s = 0; s < kWidth / 32; ++s) {
#pragma unroll
        for (int k = 0; k < 4; ++k) {
          const uint32_t a = at[s][half].at[k], b = other.at[s][half].at[k];
          sum += __builtin_bit_cast(float, a << 16) * __builtin_bit_cast(float, b << 16);
          sum += __builtin_bit_cast(float, a & 0xffff0000u) *
                 __builtin_bit_cast(float, b & 0xffff0000u);
        }
      }
      sums[half] = sum_over_columns(sum);
    }
  }
};

inline constexpr uint32_t kPackedStep = 32;

// Of 16 rows with the rows of the tile from `first`.
template <int kWidth, class Tile>
__device__ __forceinline__ void multiply_rows(ScoresOf<kPackedStep>& c, const PackedRows<kWidth>& a,
                                              const Tile& tile, uint32_t first) {
#pragma unroll
  for (uint32_t n = 0; n < kPackedStep / 8; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) c[n][i] = 0;
#pragma unroll
    for (uint32_t s = 0; s < kWidth / 32; ++s) {
      const Packed b = tile.row(first + 8 * n + lane_row(), 4 * s + lane_column());
#pragma unroll
      for (int k = 0; k < 4; k += 2) {
        const Packed &row = a.at[s][0], &below = a.at[s][1];
        const uint32_t left[4] = {row.at[k], below.at[k], row.at[k + 1], below.at[k + 1]};
        multiply_bfloat16(c[n], left, b.at[k], b.at[k + 1]);
      }
    }
  }
}

template <int kWidth>
struct PackedSums : Sums16<kWidth> {
  // Adds the product of `weights` with the rows of the tile from `first`.
  template <class Tile>
  __device__ __forceinline__ void add(const ScoresOf<kPackedStep>& weights, const Tile& tile,
                                      uint32_t first) {
#pragma unroll
    for (uint32_t n = 0; n < kPackedStep / 8; n += 2) {
      const float *x = weights[n], *next = weights[n + 1];
      const uint32_t left[4] = {to_bfloat16s(x[0], x[1]), to_bfloat16s(x[2], x[3]),
                                to_bfloat16s(next[0], next[1]), to_bfloat16s(next[2], next[3])};
      const uint32_t pair = first / 2 + 4 * n + lane_column();
#pragma unroll
      for (uint32_t w = 0; w < kWidth / 32; ++w) {
        const Packed b0 = tile.pair(pair, 8 * w + lane_row());
        const Packed b1 = tile.pair(pair + 4, 8 * w + lane_row());
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          multiply_bfloat16(this->at[4 * w + j], left, b0.at[j], b1.at[j]);
        }
      }
    }
  }
};

// What a kernel of attention multiplies where all that it is given is aligned bfloat16.
template <int kWidth>
struct BFloat16Factors {
  static constexpr uint32_t kStep = kPackedStep;
  using Unit = Packed;
  using Scores = ScoresOf<kStep>;
  using Rows = PackedRows<kWidth>;
  template <Use use>
  using Tile = PackedTile<kWidth, use>;
  using Staged = PackedStaged<kWidth>;
  using Sums = PackedSums<kWidth>;
};

}  // namespace ostinato::cuda
