#include "cuda/failure.hpp"

#include <atomic>
#include <mutex>

#include "cpu/checks.hpp"
#include "cuda/context.hpp"
#include "cuda/driver.hpp"
#include "dispatch/op_table.hpp"
#include "ops.hpp"

namespace ostinato::cuda {
namespace {

std::atomic<Failure*> places[kMostDevices] = {};

}  // namespace

Failure* failure_of(int device) {
  Failure* found = places[device].load(std::memory_order_acquire);
  if (found != nullptr) return found;
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  found = places[device].load(std::memory_order_relaxed);
  if (found != nullptr) return found;
  use_device(device);
  void* made = nullptr;
  OSTINATO_CUDA(cuMemHostAlloc, &made, sizeof(Failure),
                CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP);
  found = new (made) Failure{};
  places[device].store(found, std::memory_order_release);
  return found;
}

void check_failure(int device) {
  Failure* const found = places[device].load(std::memory_order_acquire);
  if (found == nullptr) return;
  std::atomic_ref<uint32_t> op(found->op);
  const uint32_t reported = op.load(std::memory_order_acquire);
  if (reported == 0) return;
  const int64_t index = found->index, size = found->size;
  op.store(0, std::memory_order_release);
  const OpInfo& info = op_info(static_cast<uint16_t>(reported - 1));
  if (info.id == op::multinomial) fail_weights();
  if (info.id == op::cross_entropy || info.id == op::cross_entropy_backward) {
    fail_target(index, size);
  }
  fail_index(info.name, index, size);
}

}  // namespace ostinato::cuda
