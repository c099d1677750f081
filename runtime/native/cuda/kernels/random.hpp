// Parameters of the kernels of random.cu.
#pragma once
#include "cuda/kernels/params.hpp"

namespace ostinato::cuda {

// Element i is made of lane i mod 4 of counter offset + i / 4 under the key seed. A state that lies
// on the device is read there.
struct RandomParams {
  uint64_t seed, offset;
  const uint64_t* state;  // (seed, offset), or null
  char* to;
  DType to_dtype;
  uint32_t count;
  int32_t bits;      // of a lane that make a uniform number
  int64_t low;       // of integers, and
  uint64_t span;     // how many they are
  const char* from;  // what dropout drops from, dense
  DType from_dtype;
  bool is_vectorised;  // four elements of `from` and of `to` move at once
  double p;            // with which it drops
  int64_t drawn;       // elements that a state moves past
};

}  // namespace ostinato::cuda
