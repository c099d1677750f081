// The stream-ordered caching allocator of one device.
#pragma once
#include <cuda.h>

#include <memory>
#include <mutex>
#include <unordered_set>
#include <vector>

#include "cuda/free_blocks.hpp"
#include "cuda/memory.hpp"
#include "cuda/user_events.hpp"

namespace ostinato::cuda {

// The cached memory of one stream; of a private pool, what was allocated there on the stream.
struct StreamPool {
  CUstream stream;
  const MemoryPool* owner;  // null for common memory
  FreeBlocks free;
};

// A block that is freed may be used again at once on its own stream, where the next use runs later.
// One that other streams use as well waits for events on them. A mutex guards everything.
class DeviceAllocator {
 public:
  explicit DeviceAllocator(int device);

  Block* allocate(size_t bytes, CUstream stream, const MemoryPool* owner);
  void free(Block* block) noexcept;
  void use_on(Block* block, CUstream stream);
  void release_cached();
  // What a private pool has left becomes common.
  void adopt(const MemoryPool* pool);
  void set_limits(double fraction, double collect);

  MemoryStatistics statistics();
  void reset_peaks();
  std::vector<SegmentInfo> snapshot();

 private:
  StreamPool& pool_of(CUstream stream, const MemoryPool* owner);
  Block* take(StreamPool& pool, size_t bytes);
  Block* grow(StreamPool& pool, size_t bytes);
  Block* add_segment(StreamPool& pool, size_t bytes, bool small);
  void split(Block* block, size_t bytes);
  void reuse(Block* block);
  void absorb(Block* block, Block* next);
  void drop(Segment* segment);
  void release_idle(size_t enough);
  void settle();
  std::vector<SegmentInfo> describe() const;
  [[noreturn]] void fail(size_t bytes);

  const int device_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<StreamPool>> pools_;
  std::unordered_set<Segment*> segments_;
  std::vector<Block*> spare_;  // objects without memory
  UserEvents<Block> events_;
  MemoryStatistics statistics_;
  uint64_t idle_clock_ = 0;
  size_t total_;    // memory of the device
  size_t limit_;    // the most to reserve
  size_t collect_;  // above, idle segments go first
};

// The error of an allocation of `bytes` that failed: what there is, and who holds it.
std::string out_of_memory_text(int device, size_t bytes, size_t limit, const MemoryStatistics& now,
                               const std::vector<SegmentInfo>& segments);

}  // namespace ostinato::cuda
