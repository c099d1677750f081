// Device memory: blocks from the caching allocator of each device, private pools, statistics.
#pragma once
#include <cuda.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/tensor.hpp"
#include "cuda/stream.hpp"

namespace ostinato::cuda {

struct Block;  // an allocation; its owner gives it back with `free_block`

// At least `bytes` (256-byte aligned) of `device` for use on its current stream. Throws Error
// (memory) that says what was asked, what is free, reserved and allocated, and who holds most.
Block* allocate_block(int device, size_t bytes);
void* data_of(const Block* block);
// May be called by any thread; the memory is reused in order of the stream it was made for.
void free_block(Block* block) noexcept;
// Work queued on `stream` now also uses the storage of `t`: it is reused only after that.
void record_stream(const Tensor& t, const Stream& stream);
void record_stream(const Storage& memory, const Stream& stream);
// Whether every allocation is one of the driver (OSTINATO_ALLOCATOR=direct), so that
// compute-sanitizer sees its bounds.
bool allocates_directly();

// Gives what no block uses back to the driver, on every device.
void release_device_cache();
// Of a device's memory, the most that this process may reserve; beyond `collect` of that, segments
// that lie idle are given back before new ones are asked for. Both as fractions.
void set_memory_limits(int device, double fraction, double collect);

// Memory that lies apart from all other, such as that of a graph: what is freed there is reused
// only there. When the last reference goes, what is left becomes common.
class MemoryPool : public RefCounted {
 public:
  static Ref<MemoryPool> make(int device) { return Ref<MemoryPool>(new MemoryPool(device)); }
  static void destroy(MemoryPool* pool);
  int device() const { return device_; }

 private:
  explicit MemoryPool(int device) : device_(device) {}
  int device_;
};

// From now on this thread allocates from `pool` on the pool's device, with null from common memory;
// returns the pool from before.
Ref<MemoryPool> exchange_private_pool(Ref<MemoryPool> pool);

// A number over time.
struct Counter {
  int64_t current = 0;
  int64_t peak = 0;
  int64_t gained = 0;  // in all
  int64_t lost = 0;

  void add(int64_t n) {
    current += n;
    peak = std::max(peak, current);
    (n < 0 ? lost : gained) += n < 0 ? -n : n;
  }
};

struct MemoryStatistics {
  Counter allocated;  // bytes of blocks in use
  Counter active;     // the same, and of blocks that other streams may still use
  Counter requested;  // what was asked for, before rounding
  Counter reserved;   // bytes of segments
  Counter allocations;
  Counter active_blocks;
  Counter segments;
  int64_t retries = 0;  // the driver had no more, and what was cached went back to it
  int64_t failures = 0;
};

struct BlockInfo {
  uint64_t address;
  size_t bytes;
  size_t requested;
  const char* state;   // "free", "used", or "waiting" for other streams
  std::string holder;  // the user's line, where history is kept
};

struct SegmentInfo {
  uint64_t address;
  size_t bytes;
  uint64_t stream;
  bool small;
  bool is_private;
  std::vector<BlockInfo> blocks;
};

// Whether this process has had memory of any device.
bool is_in_use();
MemoryStatistics memory_statistics(int device);
void reset_peak_statistics(int device);
// Of the same moment, where no other thread allocates in between.
std::vector<SegmentInfo> memory_snapshot(int device);

// Which blocks remember the line that made them (OSTINATO_MEMORY_HISTORY): none (0), those of ops
// whose line is known for another reason or costs little beside the op, or all (1).
enum class MemoryHistory : uint8_t { none, cheap, all };
std::atomic<MemoryHistory>& memory_history();
// The line that runs in this thread, null where it is not known. The text lives as long as the
// process.
void set_memory_holder(const std::string* line);

}  // namespace ostinato::cuda
