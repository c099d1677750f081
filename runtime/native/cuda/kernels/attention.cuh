// Attention's factors as floats: tiles and their products on tensor cores (mma.m16n8k8 of TF32).
//
// A lane is (g, t) = (lane / 4, lane % 4). By the instruction it holds elements (g or g + 8, t or
// t + 4) of the left factor, (t or t + 4, g) of the right one, and (g or g + 8, 2t or 2t + 1) of
// the product. Which terms a sum pairs and which columns come first is free, so numbers t and t + 4
// are taken for neighbouring elements, in memory or of a product: all reads of tiles are of four
// floats, and a product is the left factor of the next one as it is.
#pragma once
#include "cuda/kernels/attention.hpp"
#include "cuda/kernels/group.cuh"
#include "cuda/kernels/indexing.cuh"
#include "cuda/kernels/tensor_core.cuh"

namespace ostinato::cuda {

inline constexpr float kLog2OfE = 1.44269504088896340736f;
inline constexpr float kLogOf2 = 0.69314718055994530942f;

__device__ __forceinline__ uint32_t lane_row() { return threadIdx.x % kWarp / 4; }
__device__ __forceinline__ uint32_t lane_column() { return threadIdx.x % 4; }

// What the four lanes that share rows g and g + 8 have, joined by `f`.
template <class F>
__device__ __forceinline__ float over_columns(float x, F f) {
#pragma unroll
  for (uint32_t apart = 1; apart < 4; apart *= 2) {
    const uint32_t lane = threadIdx.x % kWarp ^ apart;
    x = f(x, shuffled(x, [=](uint32_t word) { return __shfl_sync(0xffffffffu, word, lane); }));
  }
  return x;
}
__device__ __forceinline__ float sum_over_columns(float x) {
  return over_columns(x, [](float a, float b) { return a + b; });
}

// What a factor is rounded to: itself where products are exact to float32.
template <bool kExact>
__device__ __forceinline__ float rounded(float x) {
  return kExact ? x : to_tf32(x);
}

// The part of a factor that TF32 leaves out.
__device__ __forceinline__ float remainder_of(float x) { return to_tf32(x - to_tf32(x)); }

// c += a b. An exact product is that of the upper halves of the factors, and of each upper with
// the other's lower half.
template <bool kExact>
__device__ __forceinline__ void multiply(float* c, const float* a, float b0, float b1) {
  // Those that are not exact have been rounded.
  const float upper_a[4] = {rounded<!kExact>(a[0]), rounded<!kExact>(a[1]), rounded<!kExact>(a[2]),
                            rounded<!kExact>(a[3])};
  const float upper_b[2] = {rounded<!kExact>(b0), rounded<!kExact>(b1)};
  if constexpr (kExact) {
    const float lower_a[4] = {remainder_of(a[0]), remainder_of(a[1]), remainder_of(a[2]),
                              remainder_of(a[3])};
    const float lower_b[2] = {remainder_of(b0), remainder_of(b1)};
    multiply_tf32(c, lower_a, upper_b);
    multiply_tf32(c, upper_a, lower_b);
  }
  multiply_tf32(c, upper_a, upper_b);
}

// A matrix of one head in memory.
class HeadMatrix {
 public:
  __device__ HeadMatrix(const Matrices& all, uint32_t head, uint32_t rows, uint32_t width)
      : memory_(all.memory + offset_of(all.heads, head)),
        row_(all.row),
        rows_(rows),
        width_(width),
        dtype_(all.dtype),
        is_vectorised_(all.is_vectorised) {}

  // Whether elements are aligned vectors of `Stored`, which `read<Stored>` takes for granted: loads
  // without branches are all on their way before the first is waited for.
  template <class Stored>
  __device__ __forceinline__ bool holds() const {
    return is_vectorised_ && dtype_ == dtype_of<Stored>;
  }
  // Elements from `first` of row r; zeros outside of the matrix. `void` stands for any dtype.
  template <class Stored>
  __device__ __forceinline__ Vector<float> read(uint32_t r, uint32_t first) const {
    Vector<float> x = {};
    if (r >= rows_ || first >= width_) return x;
    if constexpr (std::is_void_v<Stored>) {
      x = read_each<float>(place(r, first), dtype_, width_ - first);
    } else {
      read_vector<Stored>(place(r, first), x.at);
    }
    return x;
  }
  // `read_all<Stored>` of a reader by what this holds.
  template <class Reader>
  __device__ __forceinline__ void read_into(Reader& reader, uint32_t first) const {
    if (holds<float>()) {
      reader.template read_all<float>(*this, first);
    } else if (holds<BFloat16>()) {
      reader.template read_all<BFloat16>(*this, first);
    } else if (holds<Half>()) {
      reader.template read_all<Half>(*this, first);
    } else {
      reader.template read_all<void>(*this, first);
    }
  }
  // As they lie in memory, four elements of two bytes each; zeros outside of the matrix.
  __device__ __forceinline__ void read_packed(uint32_t r, uint32_t first, uint32_t* words) const {
    struct alignas(8) Words {
      uint32_t at[2];
    } x = {};
    if (r < rows_ && first < width_) x = *reinterpret_cast<const Words*>(place(r, first));
    words[0] = x.at[0];
    words[1] = x.at[1];
  }
  __device__ __forceinline__ void write(uint32_t r, uint32_t first, const float* x) const {
    if (r >= rows_ || first >= width_) return;
    char* to = place(r, first);
    if (is_vectorised_) return store_vector(to, dtype_, x);
    write_each<float>(to, dtype_, width_ - first, {x[0], x[1], x[2], x[3]});
  }

 private:
  __device__ char* place(uint32_t r, uint32_t first) const {
    return memory_ + r * row_ + first * item_of(dtype_);
  }

  char* memory_;
  int64_t row_;
  uint32_t rows_, width_;
  DType dtype_;
  bool is_vectorised_;
};

// What is done with a tile, which may have a form of its own for each: scores are products with its
// rows, sums add its rows up.
enum class Use : uint8_t { scores, sums, both };

// kAttentionBlock rows of kWidth floats in shared memory. Units of four floats are exchanged within
// a row so that neither eight lanes along a row and the next one, nor those of every second row,
// meet in one bank.
template <int kWidth>
class Tile {
 public:
  using Unit = Vector<float>;
  static constexpr uint32_t kUnits = kWidth / kVector;
  static constexpr uint32_t kSize = kAttentionBlock * kUnits;

  __device__ explicit Tile(Unit* memory) : memory_(memory) {}

  __device__ __forceinline__ Unit& at(uint32_t row, uint32_t unit) const {
    const uint32_t exchange = (row & 6) ^ (row & 1) << 2;
    return memory_[row * kUnits + (unit ^ exchange)];
  }

 private:
  Unit* memory_;
};

// This thread's part of a tile on its way from memory.
template <bool kExact, int kWidth>
class Staged {
 public:
  __device__ __forceinline__ Staged(const HeadMatrix& from, uint32_t first) {
    from.read_into(*this, first);
  }
  template <class Stored>
  __device__ __forceinline__ void read_all(const HeadMatrix& from, uint32_t first) {
#pragma unroll
    for (uint32_t j = 0; j < kEach; ++j) {
      units_[j] = from.template read<Stored>(first + row(j), unit() * kVector);
    }
  }
  __device__ __forceinline__ void put(const Tile<kWidth>& tile) const {
#pragma unroll
    for (uint32_t j = 0; j < kEach; ++j) {
      Vector<float> x = units_[j];
#pragma unroll
      for (int k = 0; k < kVector; ++k) x.at[k] = rounded<kExact>(x.at[k]);
      tile.at(row(j), unit()) = x;
    }
  }

 private:
  static constexpr uint32_t kUnits = Tile<kWidth>::kUnits;
  static constexpr uint32_t kEach = Tile<kWidth>::kSize / kAttentionThreads;
  __device__ static uint32_t row(uint32_t j) {
    return (j * kAttentionThreads + threadIdx.x) / kUnits;
  }
  __device__ static uint32_t unit() { return threadIdx.x % kUnits; }

  Vector<float> units_[kEach];
};

// This lane's part of 16 rows as a left factor: four neighbouring elements of row g and of g + 8
// out of every sixteen.
template <bool kExact, int kWidth>
struct Rows16 {
  Vector<float> at[kWidth / 16][2];

  __device__ __forceinline__ Rows16(const HeadMatrix& from, uint32_t first) {
    from.read_into(*this, first);
  }
  template <class Stored>
  __device__ __forceinline__ void read_all(const HeadMatrix& from, uint32_t first) {
#pragma unroll
    for (uint32_t s = 0; s < kWidth / 16; ++s) {
#pragma unroll
      for (uint32_t half = 0; half < 2; ++half) {
        at[s][half] =
            from.template read<Stored>(first + lane_row() + 8 * half, 16 * s + 4 * lane_column());
      }
    }
  }
  __device__ __forceinline__ void round() {
#pragma unroll
    for (uint32_t s = 0; s < kWidth / 16; ++s) {
#pragma unroll
      for (int k = 0; k < 2 * kVector; ++k) {
        float& x = at[s][k / kVector].at[k % kVector];
        x = rounded<kExact>(x);
      }
    }
  }
  // Of each of this lane's rows the sum of products with the other's elements.
  __device__ __forceinline__ void dot(const Rows16& other, float* sums) const {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float sum = 0;
#pragma unroll
      for (uint32_t s = 0; s < kWidth / 16; ++s) {
#pragma unroll
        for (int k = 0; k < kVector; ++k) sum += at[s][half].at[k] * other.at[s][half].at[k];
      }
      sums[half] = sum_over_columns(sum);
    }
  }
};

// Rows of a tile that are multiplied with at a time: exact products need the registers of half.
template <bool kExact>
inline constexpr uint32_t kStepOf = kExact ? 16 : 32;
// 16 rows by kStep columns: [n][i] at row g + i / 2 * 8 and column 8n + 2t + i % 2.
template <uint32_t kStep>
using ScoresOf = float[kStep / 8][4];

// Of 16 rows with the rows of the tile from `first`.
template <bool kExact, int kWidth>
__device__ __forceinline__ void multiply_rows(ScoresOf<kStepOf<kExact>>& c,
                                              const Rows16<kExact, kWidth>& a,
                                              const Tile<kWidth>& tile, uint32_t first) {
#pragma unroll
  for (uint32_t n = 0; n < kStepOf<kExact> / 8; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) c[n][i] = 0;
#pragma unroll
    for (uint32_t s = 0; s < kWidth / 16; ++s) {
      const Vector<float> b = tile.at(first + 8 * n + lane_row(), 4 * s + lane_column());
#pragma unroll
      for (int k = 0; k < kVector; k += 2) {
        const float* row = a.at[s][0].at;
        const float* below = a.at[s][1].at;
        const float left[4] = {row[k], below[k], row[k + 1], below[k + 1]};
        multiply<kExact>(c[n], left, b.at[k], b.at[k + 1]);
      }
    }
  }
}

// 16 rows of sums: [4w + j][i] at row g + i / 2 * 8 and column 32w + 8t + i % 2 * 4 + j.
template <int kWidth>
struct Sums16 {
  float at[kWidth / 8][4] = {};

  // Row g + 8 * half times `factor`.
  __device__ __forceinline__ void scale(int half, float factor) {
#pragma unroll
    for (int n = 0; n < kWidth / 8; ++n) {
      at[n][2 * half] *= factor;
      at[n][2 * half + 1] *= factor;
    }
  }
  __device__ __forceinline__ void store(const HeadMatrix& to, uint32_t first) const {
#pragma unroll
    for (uint32_t w = 0; w < kWidth / 32; ++w) {
#pragma unroll
      for (uint32_t i = 0; i < 4; ++i) {
        float y[kVector];
#pragma unroll
        for (int j = 0; j < kVector; ++j) y[j] = at[4 * w + j][i];
        to.write(first + lane_row() + i / 2 * 8, 32 * w + 8 * lane_column() + i % 2 * 4, y);
      }
    }
  }
};

template <bool kExact, int kWidth>
struct FloatSums : Sums16<kWidth> {
  // Adds the product of `weights` with the rows of the tile from `first`.
  __device__ __forceinline__ void add(const ScoresOf<kStepOf<kExact>>& weights,
                                      const Tile<kWidth>& tile, uint32_t first) {
#pragma unroll
    for (uint32_t n = 0; n < kStepOf<kExact> / 8; ++n) {
      const float* x = weights[n];
      const float left[4] = {rounded<kExact>(x[0]), rounded<kExact>(x[2]), rounded<kExact>(x[1]),
                             rounded<kExact>(x[3])};
      const uint32_t row = first + 8 * n + 2 * lane_column();
#pragma unroll
      for (uint32_t w = 0; w < kWidth / 32; ++w) {
        const Vector<float> b0 = tile.at(row, 8 * w + lane_row());
        const Vector<float> b1 = tile.at(row + 1, 8 * w + lane_row());
#pragma unroll
        for (int j = 0; j < kVector; ++j) {
          multiply<kExact>(this->at[4 * w + j], left, b0.at[j], b1.at[j]);
        }
      }
    }
  }
};

// What a kernel of attention multiplies: its factors, and products of those.
template <bool kExact, int kWidth>
struct FloatFactors {
  static constexpr uint32_t kStep = kStepOf<kExact>;
  using Unit = Vector<float>;
  using Scores = ScoresOf<kStep>;
  using Rows = Rows16<kExact, kWidth>;
  template <Use>
  using Tile = cuda::Tile<kWidth>;
  using Staged = cuda::Staged<kExact, kWidth>;
  using Sums = FloatSums<kExact, kWidth>;
};

// From products to scores, in powers of two: scaled, masked, -inf where a query does not look.
class Scorer {
 public:
  __device__ Scorer(const AttentionParams& p, uint32_t head)
      : p_(p), mask_(p.mask.memory + (p.mask.memory ? offset_of(p.mask.heads, head) : 0)) {}

  // Those of 16 rows of queries with kStep keys, of which these are the first; or where kTurned of
  // 16 keys with kStep queries.
  template <bool kTurned = false, int kBlocks>
  __device__ __forceinline__ void score_all(float (&x)[kBlocks][4], uint32_t first_row,
                                            uint32_t first_column) const {
    // One branch: one for each score would scatter what is run over the memory of instructions.
    if (kTurned ? sees_all(first_column, first_row, 8 * kBlocks, 16)
                : sees_all(first_row, first_column, 16, 8 * kBlocks)) {
#pragma unroll
      for (int n = 0; n < 4 * kBlocks; ++n) x[n / 4][n % 4] *= p_.scale * kLog2OfE;
      return;
    }
#pragma unroll
    for (uint32_t n = 0; n < 4 * kBlocks; ++n) {
      const uint32_t row = first_row + lane_row() + n % 4 / 2 * 8;
      const uint32_t column = first_column + n / 4 * 8 + 2 * lane_column() + n % 2;
      float& s = x[n / 4][n % 4];
      s = kTurned ? score(s, column, row) : score(s, row, column);
    }
  }

  static constexpr float kNever = -__builtin_huge_valf();

 private:
  __device__ __forceinline__ float score(float product, uint32_t query, uint32_t key) const {
    if (query >= p_.queries || key >= p_.keys || (p_.is_causal && key > query)) return kNever;
    const float scaled = product * (p_.scale * kLog2OfE);
    if (!p_.mask.memory) return scaled;
    const char* at = mask_ + query * p_.mask.row + key * p_.mask.column;
    const float masked = load<float>(at, p_.mask.dtype);
    if (p_.mask.dtype == DType::bool_) return masked == 0.0f ? kNever : scaled;
    return scaled + masked * kLog2OfE;
  }
  // Whether each of some queries looks at each of some keys, unmasked.
  __device__ __forceinline__ bool sees_all(uint32_t first_query, uint32_t first_key,
                                           uint32_t queries, uint32_t keys) const {
    return !p_.mask.memory && first_query + queries <= p_.queries && first_key + keys <= p_.keys &&
           (!p_.is_causal || first_key + keys - 1 <= first_query);
  }

  const AttentionParams& p_;
  const char* mask_;
};

}  // namespace ostinato::cuda
