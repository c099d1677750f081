// Blocks of device memory, and the free ones of a stream by size.
#pragma once
#include <cuda.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace ostinato::cuda {

inline constexpr size_t kGrain = 512;                      // sizes of blocks are multiples
inline constexpr size_t kSmall = size_t{1} << 20;          // the most that lies in a small segment
inline constexpr size_t kSmallSegment = size_t{2} << 20;   // of many small blocks
inline constexpr size_t kShared = size_t{10} << 20;        // below, large blocks share a segment
inline constexpr size_t kLargeSegment = size_t{20} << 20;  // of such blocks
inline constexpr size_t kLargeGrain = size_t{2} << 20;     // segments of one block are multiples

class DeviceAllocator;
struct StreamPool;
struct Block;

// What the driver gave in one piece; its blocks lie side by side.
struct Segment {
  DeviceAllocator* owner;
  StreamPool* pool;
  Block* first;
  size_t bytes;
  bool small;
  uint64_t idle_since = 0;  // which one it was to become idle
};

struct Block {
  enum class State : uint8_t { free, used, waiting };  // waiting: for other streams to be done

  CUdeviceptr data = 0;
  size_t bytes = 0;
  size_t requested = 0;
  Segment* segment = nullptr;
  Block* before = nullptr;  // neighbours in the segment
  Block* after = nullptr;
  Block* previous = nullptr;  // other free ones of its size
  Block* next = nullptr;
  State state = State::free;
  int waits = 0;                        // events that are not done
  std::vector<CUstream> users;          // streams besides its own
  const std::string* holder = nullptr;  // the user's line, where history is kept

  bool is_whole() const { return before == nullptr && after == nullptr; }
};

// The block that fits best is the smallest, and of several the one that was freed last.
class FreeBlocks {
 public:
  void insert(Block* block);
  void remove(Block* block);
  Block* find(size_t bytes, bool small) const;

 private:
  static constexpr size_t kWord = 64;
  static constexpr size_t kBins = kSmallSegment / kGrain;
  static_assert(kBins == kWord * kWord);

  Block* find_small(size_t bin) const;
  Block*& list_of(const Block* block);
  void note(const Block* block, bool any);

  std::array<Block*, kBins> small_ = {};  // bin i holds blocks of i + 1 grains
  std::array<uint64_t, kWord> filled_ = {};
  uint64_t filled_words_ = 0;
  std::map<size_t, Block*> large_;
};

}  // namespace ostinato::cuda
