#include "cuda/pinned.hpp"

#include <array>
#include <bit>
#include <map>
#include <mutex>

#include "core/error.hpp"
#include "cuda/context.hpp"
#include "cuda/user_events.hpp"

namespace ostinato::cuda {

struct HostBlock {
  struct User {
    int device;
    CUstream stream;
    bool operator==(const User&) const = default;
  };
  void* data = nullptr;
  size_t bytes = 0;
  std::vector<User> users;
  int waits = 0;
};

namespace {

constexpr size_t kLeast = 4096;

size_t rounded(size_t bytes) {
  if (allocates_directly()) return std::max<size_t>(bytes, 1);
  return std::bit_ceil(std::max(bytes, kLeast));
}

class PinnedAllocator {
 public:
  HostBlock* allocate(size_t bytes) {
    const size_t needed = rounded(bytes);
    const std::lock_guard lock(mutex_);
    poll();
    HostBlock* block = take(needed);
    if (block == nullptr) block = ask_driver(needed);
    if (block == nullptr) {
      settle();
      block = take(needed);
      if (block == nullptr) {
        release_free();
        block = ask_driver(needed);
      }
    }
    if (block == nullptr) fail(bytes);
    statistics_.allocated.add(static_cast<int64_t>(block->bytes));
    return block;
  }

  void free(HostBlock* block) noexcept {
    const std::lock_guard lock(mutex_);
    statistics_.allocated.add(-static_cast<int64_t>(block->bytes));
    block->waits = 1;
    for (const HostBlock::User& u : block->users) {
      if (becomes_current(u.device)) block->waits += events_[u.device].add(u.stream, block) ? 1 : 0;
    }
    reuse(block);
  }

  void use_on(HostBlock* block, const Stream& stream) {
    const HostBlock::User user{stream.device(), stream.handle()};
    const std::lock_guard lock(mutex_);
    if (std::find(block->users.begin(), block->users.end(), user) == block->users.end()) {
      block->users.push_back(user);
    }
  }

  void release_cached() {
    const std::lock_guard lock(mutex_);
    settle();
    release_free();
  }

  PinnedStatistics statistics() {
    const std::lock_guard lock(mutex_);
    return statistics_;
  }

 private:
  void reuse(HostBlock* block) {
    if (--block->waits > 0) return;
    block->users.clear();
    if (allocates_directly()) return drop(block);
    free_[block->bytes].push_back(block);
  }

  void poll() {
    for (int d = 0; d < kMostDevices; ++d) {
      if (events_[d].empty()) continue;
      use_device(d);
      events_[d].poll([this](HostBlock* b) { reuse(b); });
    }
  }

  void settle() {
    for (int d = 0; d < kMostDevices; ++d) {
      if (events_[d].empty()) continue;
      use_device(d);
      events_[d].settle([this](HostBlock* b) { reuse(b); });
    }
  }

  HostBlock* take(size_t bytes) {
    const auto it = free_.find(bytes);
    if (it == free_.end() || it->second.empty()) return nullptr;
    HostBlock* block = it->second.back();
    it->second.pop_back();
    return block;
  }

  HostBlock* ask_driver(size_t bytes) {
    use_device(current_device());
    void* data = nullptr;
    const CUresult result = driver().cuMemHostAlloc_(&data, bytes, CU_MEMHOSTALLOC_PORTABLE);
    if (result == CUDA_ERROR_OUT_OF_MEMORY) return nullptr;
    check(result, "cuMemHostAlloc");
    statistics_.reserved.add(static_cast<int64_t>(bytes));
    auto* made = new HostBlock;
    made->data = data;
    made->bytes = bytes;
    return made;
  }

  void drop(HostBlock* block) {
    if (becomes_current(current_device())) driver().cuMemFreeHost_(block->data);
    statistics_.reserved.add(-static_cast<int64_t>(block->bytes));
    delete block;
  }

  void release_free() {
    for (auto& [bytes, blocks] : free_) {
      for (HostBlock* b : blocks) drop(b);
    }
    free_.clear();
  }

  [[noreturn]] void fail(size_t bytes) {
    throw Error(ErrorKind::memory, "pin_memory: the machine refuses " + std::to_string(bytes) +
                                       " more pinned bytes, " +
                                       std::to_string(statistics_.allocated.current) +
                                       " are in use; free some, or use ordinary memory");
  }

  std::mutex mutex_;
  std::map<size_t, std::vector<HostBlock*>> free_;
  std::array<UserEvents<HostBlock>, kMostDevices> events_;
  PinnedStatistics statistics_;
};

// Never destroyed: tensors of static objects outlive any destructor here.
PinnedAllocator& allocator() {
  static PinnedAllocator& made = *new PinnedAllocator;
  return made;
}

}  // namespace

HostBlock* allocate_pinned(size_t bytes) {
  driver();  // refuses a forked process, in which the mutex may be held for good
  return allocator().allocate(bytes);
}
void* data_of(const HostBlock* block) { return block->data; }
void free_pinned(HostBlock* block) noexcept {
  if (usable_driver() != nullptr) allocator().free(block);
}
void use_pinned_on(HostBlock* block, const Stream& stream) { allocator().use_on(block, stream); }
void release_pinned_cache() {
  if (usable_driver() != nullptr) allocator().release_cached();
}
PinnedStatistics pinned_statistics() { return allocator().statistics(); }

}  // namespace ostinato::cuda
