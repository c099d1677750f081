#include "cpu/simd/random.hpp"

#include "scalar_math.hpp"

namespace ostinato::OSTINATO_ISA {
namespace {

constexpr int kBlocks = 16;  // counters side by side

void some_lanes(RandomState state, uint64_t block, uint32_t (*words)[kBlocks]) {
  for (int i = 0; i < kBlocks; ++i) {
    const uint64_t counter = state.offset + block + static_cast<uint64_t>(i);
    words[0][i] = static_cast<uint32_t>(counter);
    words[1][i] = static_cast<uint32_t>(counter >> 32);
    words[2][i] = words[3][i] = 0;
  }
  uint32_t key0 = static_cast<uint32_t>(state.seed);
  uint32_t key1 = static_cast<uint32_t>(state.seed >> 32);
  for (int round = 0; round < 10; ++round) {
    for (int i = 0; i < kBlocks; ++i) {
      const uint64_t p0 = uint64_t{words[0][i]} * 0xD2511F53u;
      const uint64_t p1 = uint64_t{words[2][i]} * 0xCD9E8D57u;
      words[0][i] = static_cast<uint32_t>(p1 >> 32) ^ words[1][i] ^ key0;
      words[2][i] = static_cast<uint32_t>(p0 >> 32) ^ words[3][i] ^ key1;
      words[1][i] = static_cast<uint32_t>(p1);
      words[3][i] = static_cast<uint32_t>(p0);
    }
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
}

void lanes(RandomState state, uint64_t block, int64_t blocks, uint32_t* to) {
  alignas(64) uint32_t words[4][kBlocks];
  for (int64_t done = 0; done < blocks; done += kBlocks) {
    some_lanes(state, block + static_cast<uint64_t>(done), words);
    const int64_t count = blocks - done < kBlocks ? blocks - done : kBlocks;
    uint32_t* out = to + 4 * done;
    for (int64_t i = 0; i < count; ++i) {
      for (int k = 0; k < 4; ++k) out[4 * i + k] = words[k][i];
    }
  }
}

void normals(RandomState state, int64_t first, int64_t n, float* to) {
  const int64_t seed = static_cast<int64_t>(state.seed);
  const int64_t offset = static_cast<int64_t>(state.offset);
  for (int64_t i = 0; i < n; ++i) to[i] = scalar::normal(seed, offset, first + i);
}

template <class T>
void drop(const uint32_t* lanes, float p, const T* x, T scale, T* y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const float u = static_cast<float>(static_cast<int32_t>(lanes[i] >> 8)) * 0x1p-24f;
    const T kept = x[i] * scale;
    y[i] = u >= p ? kept : T{0};
  }
}

}  // namespace

RandomFns random_fns() { return {lanes, normals, drop<float>, drop<double>}; }

}  // namespace ostinato::OSTINATO_ISA
