// Parameters of the kernels of slots.cu.
#pragma once
#include <cstdint>

namespace ostinato::cuda {

struct Slot {
  uint64_t low, high;
};

inline constexpr uint32_t kMostSlots = 250;  // what 4 KiB of parameters hold

// Values of the host by value: they are read when the launch is queued, not when it runs.
struct SlotParams {
  Slot* to;
  uint32_t count;
  Slot values[kMostSlots];
};

// One value, `count` times.
struct WordParams {
  uint32_t* to;
  uint32_t count;
  uint32_t value;
};

}  // namespace ostinato::cuda
