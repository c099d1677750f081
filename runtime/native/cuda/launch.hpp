// Kernels of the package's fatbins, and their launch.
#pragma once
#include <cuda.h>

#include <atomic>
#include <cstdint>
#include <string>

#include "cuda/context.hpp"

namespace ostinato::cuda {

struct Grid {
  uint32_t x = 1, y = 1, z = 1;
};

// Where the fatbins of the package lie.
void set_kernel_folder(std::string folder);
// Function `name` of the package's fatbin `library` (a file name without its ending) on `device`,
// loaded at first use. Throws Error (device) where there is none for this GPU. Slow: hold the
// result, as KernelName does.
CUfunction find_kernel(int device, const char* library, const char* name);

// A kernel of the package by name, looked up once for each device.
class KernelName {
 public:
  constexpr KernelName(const char* library, const char* name) : library_(library), name_(name) {}
  CUfunction on(int device);

 private:
  const char* library_;
  const char* name_;
  std::atomic<CUfunction> found_[kMostDevices] = {};
};

// Queues `fn` on the current stream of `device`; `arguments` point at the parameters, in order.
void launch(CUfunction fn, int device, Grid grid, Grid block, uint32_t shared, void** arguments);

// What the driver takes to queue a kernel that does nothing, the mean of `count` launches: no call
// that launches one takes the host less.
double seconds_of_launch(int device, int count);

// The same with the parameters themselves: trivially copyable, of exactly the kernel's types.
template <class... Args>
void launch(KernelName& kernel, int device, Grid grid, uint32_t threads, uint32_t shared,
            const Args&... args) {
  void* arguments[] = {const_cast<void*>(static_cast<const void*>(&args))...};
  launch(kernel.on(device), device, grid, {threads}, shared, arguments);
}

}  // namespace ostinato::cuda
