#include "cuda/context.hpp"

#include <array>
#include <atomic>
#include <mutex>

#include "core/error.hpp"
#include "cuda/driver.hpp"

namespace ostinato::cuda {
namespace {

struct DeviceState {
  std::mutex mutex;
  std::atomic<CUcontext> context{nullptr};
  std::array<std::atomic<int8_t>, kMostDevices> reach = {};  // 0 unknown, 1 yes, -1 no
};

std::array<DeviceState, kMostDevices>& states() {
  static auto& made = *new std::array<DeviceState, kMostDevices>;
  return made;
}

thread_local int current = 0;

int count_devices() {
  int count = 0;
  OSTINATO_CUDA(cuDeviceGetCount, &count);
  return std::min(count, kMostDevices);
}

void check_index(int index) {
  const int count = device_count();
  if (index >= 0 && index < count) return;
  if (count == 0) driver();  // says what is missing
  throw Error(ErrorKind::value, "device: cuda:" + std::to_string(index) +
                                    " came; this machine has " + std::to_string(count) +
                                    " CUDA device" + (count == 1 ? "" : "s") + ", numbered from 0");
}

CUdevice handle_of(int index) {
  CUdevice device = 0;
  OSTINATO_CUDA(cuDeviceGet, &device, index);
  return device;
}

CUcontext make_context(int index) {
  check_index(index);
  DeviceState& state = states()[index];
  const std::lock_guard lock(state.mutex);
  CUcontext context = state.context.load(std::memory_order_acquire);
  if (context != nullptr) return context;
  OSTINATO_CUDA(cuDevicePrimaryCtxRetain, &context, handle_of(index));
  state.context.store(context, std::memory_order_release);
  return context;
}

int attribute(CUdevice device, CUdevice_attribute which) {
  int value = 0;
  OSTINATO_CUDA(cuDeviceGetAttribute, &value, which, device);
  return value;
}

std::string uuid_of(CUdevice device) {
  CUuuid uuid;
  OSTINATO_CUDA(cuDeviceGetUuid, &uuid, device);
  std::string text;
  for (int i = 0; i < 16; ++i) {
    static constexpr char digits[] = "0123456789abcdef";
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    const auto byte = static_cast<unsigned char>(uuid.bytes[i]);
    text += digits[byte >> 4];
    text += digits[byte & 15];
  }
  return text;
}

Properties read_properties(int index) {
  const CUdevice device = handle_of(index);
  Properties p;
  char name[256] = {};
  OSTINATO_CUDA(cuDeviceGetName, name, sizeof name - 1, device);
  p.name = name;
  p.major = attribute(device, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
  p.minor = attribute(device, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
  p.multiprocessors = attribute(device, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
  p.warp_size = attribute(device, CU_DEVICE_ATTRIBUTE_WARP_SIZE);
  p.max_threads_per_block = attribute(device, CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK);
  p.max_threads_per_multiprocessor =
      attribute(device, CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR);
  p.max_shared_per_block = attribute(device, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN);
  p.l2_bytes = attribute(device, CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE);
  OSTINATO_CUDA(cuDeviceTotalMem, &p.total_memory, device);
  p.uuid = uuid_of(device);
  return p;
}

}  // namespace

int device_count() {
  if (!is_available()) return 0;
  static const int count = count_devices();
  return count;
}

const Properties& properties(int index) {
  check_index(index);
  static auto& known = *new std::array<std::atomic<const Properties*>, kMostDevices>{};
  const Properties* found = known[index].load(std::memory_order_acquire);
  if (found != nullptr) return *found;
  const std::lock_guard lock(states()[index].mutex);
  found = known[index].load(std::memory_order_acquire);
  if (found == nullptr) {
    found = new Properties(read_properties(index));
    known[index].store(found, std::memory_order_release);
  }
  return *found;
}

CUcontext context_of(int index) {
  if (index >= 0 && index < kMostDevices) {
    CUcontext context = states()[index].context.load(std::memory_order_acquire);
    if (context != nullptr) return context;
  }
  return make_context(index);
}

void use_device(int index) {
  CUcontext wanted = context_of(index);
  // Another library of this thread may have changed it, so it is asked for each time.
  CUcontext now = nullptr;
  OSTINATO_CUDA(cuCtxGetCurrent, &now);
  if (now != wanted) OSTINATO_CUDA(cuCtxSetCurrent, wanted);
}

bool becomes_current(int index) noexcept {
  try {
    use_device(index);
    return true;
  } catch (const Error&) {
    return false;
  }
}

int current_device() { return current; }

void set_current_device(int index) {
  check_index(index);
  current = index;
}

bool reaches(int device, int peer) {
  if (device == peer) return true;
  CUcontext other = context_of(peer);
  use_device(device);
  std::atomic<int8_t>& known = states()[device].reach[peer];
  int8_t answer = known.load(std::memory_order_acquire);
  if (answer == 0) {
    const std::lock_guard lock(states()[device].mutex);
    int can = 0;
    OSTINATO_CUDA(cuDeviceCanAccessPeer, &can, handle_of(device), handle_of(peer));
    if (can != 0) {
      const CUresult result = driver().cuCtxEnablePeerAccess_(other, 0);
      if (result != CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED) check(result, "cuCtxEnablePeerAccess");
    }
    answer = can != 0 ? 1 : -1;
    known.store(answer, std::memory_order_release);
  }
  return answer > 0;
}

}  // namespace ostinato::cuda
