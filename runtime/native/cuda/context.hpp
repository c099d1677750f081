// Devices of the machine, and the one whose context this thread uses.
#pragma once
#include <cuda.h>

#include <string>

#include "core/device.hpp"

namespace ostinato::cuda {

struct Properties {
  std::string name;
  int major = 0;
  int minor = 0;
  int multiprocessors = 0;
  int warp_size = 32;
  int max_threads_per_block = 0;
  int max_threads_per_multiprocessor = 0;
  int max_shared_per_block = 0;  // opted in
  int l2_bytes = 0;
  size_t total_memory = 0;
  std::string uuid;  // as nvidia-smi shows it, without "GPU-"
};

int device_count();  // 0 where there is no driver
const Properties& properties(int index);
// Makes the context of device `index` current in this thread; cheap where it is already. Throws
// Error (value) for a device that does not exist.
void use_device(int index);
CUcontext context_of(int index);
// The same for where nothing may be thrown; false where the driver failed for good, or is gone
// because the process ends.
bool becomes_current(int index) noexcept;
// The device that `device="cuda"` means in this thread, 0 at first.
int current_device();
void set_current_device(int index);
// Whether `device` may reach the memory of `peer` directly; allows it where it can.
bool reaches(int device, int peer);

}  // namespace ostinato::cuda
