// What kernels report that a CPU would raise at once: an index that is out of range.
#pragma once
#include <cstdint>

namespace ostinato::cuda {

// In host memory that the device reaches. The first failure stays until the host has read it.
struct Failure {
  uint32_t op;  // the id of the op plus one; 0 for none
  uint32_t unused;
  int64_t index;
  int64_t size;  // of what it should lie in
};

}  // namespace ostinato::cuda
