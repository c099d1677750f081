#include "cuda/memory.hpp"

#include <array>
#include <cstdlib>
#include <cstring>
#include <mutex>

#include "core/error.hpp"
#include "cuda/allocator.hpp"
#include "cuda/context.hpp"
#include "cuda/driver.hpp"

namespace ostinato::cuda {
namespace {

thread_local Ref<MemoryPool> private_pool;
std::atomic<bool> in_use{false};

bool is_set(const char* variable, const char* to) {
  const char* value = std::getenv(variable);
  return value != nullptr && std::strcmp(value, to) == 0;
}

// Never destroyed: tensors of static objects outlive any destructor here.
std::array<std::atomic<DeviceAllocator*>, kMostDevices>& allocators() {
  static auto& made = *new std::array<std::atomic<DeviceAllocator*>, kMostDevices>{};
  return made;
}

DeviceAllocator& allocator_of(int device) {
  driver();  // refuses a forked process, in which the mutex may be held for good
  if (device >= 0 && device < kMostDevices) {
    DeviceAllocator* found = allocators()[device].load(std::memory_order_acquire);
    if (found != nullptr) return *found;
  }
  use_device(device);  // refuses a device that does not exist
  static std::mutex& mutex = *new std::mutex;
  const std::lock_guard lock(mutex);
  DeviceAllocator* made = allocators()[device].load(std::memory_order_acquire);
  if (made == nullptr) {
    made = new DeviceAllocator(device);
    in_use.store(true, std::memory_order_relaxed);
    allocators()[device].store(made, std::memory_order_release);
  }
  return *made;
}

}  // namespace

bool allocates_directly() {
  static const bool direct = is_set("OSTINATO_ALLOCATOR", "direct");
  return direct;
}

std::atomic<MemoryHistory>& memory_history() {
  static std::atomic<MemoryHistory> kept =
      is_set("OSTINATO_MEMORY_HISTORY", "0")   ? MemoryHistory::none
      : is_set("OSTINATO_MEMORY_HISTORY", "1") ? MemoryHistory::all
                                               : MemoryHistory::cheap;
  return kept;
}

Block* allocate_block(int device, size_t bytes) {
  DeviceAllocator& allocator = allocator_of(device);
  const bool apart = private_pool && private_pool->device() == device;
  return allocator.allocate(bytes, current_handle(device), apart ? private_pool.get() : nullptr);
}

bool is_in_use() { return in_use.load(std::memory_order_relaxed); }
void* data_of(const Block* block) { return reinterpret_cast<void*>(block->data); }
void free_block(Block* block) noexcept {
  if (usable_driver() != nullptr) block->segment->owner->free(block);
}

void record_stream(const Tensor& t, const Stream& stream) {
  if (t->storage) record_stream(*t->storage, stream);
}

void record_stream(const Storage& memory, const Stream& stream) {
  Block* block = memory.block();
  if (block == nullptr || usable_driver() == nullptr) return;
  if (memory.device().index != stream.device()) {
    throw Error(ErrorKind::value, "record_stream: a stream of " +
                                      show(cuda_device(stream.device())) + " came for memory of " +
                                      show(memory.device()) + "; give one of the same device");
  }
  block->segment->owner->use_on(block, stream.handle());
}

void release_device_cache() {
  if (!is_in_use()) return;
  driver();
  for (auto& a : allocators()) {
    if (DeviceAllocator* allocator = a.load(std::memory_order_acquire)) allocator->release_cached();
  }
}

void set_memory_limits(int device, double fraction, double collect) {
  allocator_of(device).set_limits(fraction, collect);
}

void MemoryPool::destroy(MemoryPool* pool) {
  DeviceAllocator* allocator = allocators()[pool->device_].load(std::memory_order_acquire);
  if (allocator != nullptr && usable_driver() != nullptr) allocator->adopt(pool);
  delete pool;
}

Ref<MemoryPool> exchange_private_pool(Ref<MemoryPool> pool) {
  return std::exchange(private_pool, std::move(pool));
}

MemoryStatistics memory_statistics(int device) { return allocator_of(device).statistics(); }
void reset_peak_statistics(int device) { allocator_of(device).reset_peaks(); }
std::vector<SegmentInfo> memory_snapshot(int device) { return allocator_of(device).snapshot(); }

}  // namespace ostinato::cuda
