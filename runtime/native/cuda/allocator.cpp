#include "cuda/allocator.hpp"

#include <limits>

#include "core/error.hpp"
#include "cuda/context.hpp"

namespace ostinato::cuda {
namespace {

thread_local const std::string* holder = nullptr;

size_t rounded_up(size_t bytes, size_t grain) { return (bytes + grain - 1) / grain * grain; }

size_t block_bytes(size_t bytes) {
  const size_t some = std::max<size_t>(bytes, 1);
  return allocates_directly() ? some : rounded_up(some, kGrain);
}

size_t segment_bytes(size_t bytes) {
  if (allocates_directly()) return bytes;
  if (bytes <= kSmall) return kSmallSegment;
  return bytes < kShared ? kLargeSegment : rounded_up(bytes, kLargeGrain);
}

// The driver's allocations are legal while this thread captures a stream.
class OutsideCapture {
 public:
  OutsideCapture() { driver().cuThreadExchangeStreamCaptureMode_(&mode_); }
  ~OutsideCapture() { driver().cuThreadExchangeStreamCaptureMode_(&mode_); }
  OutsideCapture(const OutsideCapture&) = delete;
  OutsideCapture& operator=(const OutsideCapture&) = delete;

 private:
  CUstreamCaptureMode mode_ = CU_STREAM_CAPTURE_MODE_RELAXED;
};

// 0 where the device has no more.
CUdeviceptr ask_driver(size_t bytes) {
  const OutsideCapture outside;
  CUdeviceptr data = 0;
  const CUresult result = driver().cuMemAlloc_(&data, bytes);
  if (result == CUDA_ERROR_OUT_OF_MEMORY) return 0;
  check(result, "cuMemAlloc");
  return data;
}

const char* name_of(Block::State state) {
  static constexpr const char* names[] = {"free", "used", "waiting"};
  return names[static_cast<int>(state)];
}

}  // namespace

void set_memory_holder(const std::string* line) { holder = line; }

DeviceAllocator::DeviceAllocator(int device)
    : device_(device), total_(properties(device).total_memory) {
  set_limits(1.0, 0.9);
}

void DeviceAllocator::set_limits(double fraction, double collect) {
  const std::lock_guard lock(mutex_);
  limit_ = static_cast<size_t>(static_cast<double>(total_) * fraction);
  collect_ = static_cast<size_t>(static_cast<double>(limit_) * collect);
}

StreamPool& DeviceAllocator::pool_of(CUstream stream, const MemoryPool* owner) {
  for (const auto& p : pools_) {
    if (p->stream == stream && p->owner == owner) return *p;
  }
  pools_.push_back(std::make_unique<StreamPool>(StreamPool{stream, owner, {}}));
  return *pools_.back();
}

// A cached block of at least `bytes`, out of its list; null where there is none.
Block* DeviceAllocator::take(StreamPool& pool, size_t bytes) {
  if (allocates_directly()) return nullptr;
  Block* found = pool.free.find(bytes, bytes <= kSmall);
  if (found != nullptr) pool.free.remove(found);
  return found;
}

Block* DeviceAllocator::allocate(size_t bytes, CUstream stream, const MemoryPool* owner) {
  const size_t needed = block_bytes(bytes);
  const std::lock_guard lock(mutex_);
  if (!events_.empty()) {
    use_device(device_);
    const OutsideCapture outside;
    events_.poll([this](Block* b) { reuse(b); });
  }
  StreamPool& pool = pool_of(stream, owner);
  Block* block = take(pool, needed);
  if (block == nullptr) block = grow(pool, needed);
  split(block, needed);
  block->state = Block::State::used;
  block->requested = bytes;
  block->holder = holder;
  const auto size = static_cast<int64_t>(block->bytes);
  statistics_.allocated.add(size);
  statistics_.active.add(size);
  statistics_.requested.add(static_cast<int64_t>(bytes));
  statistics_.allocations.add(1);
  statistics_.active_blocks.add(1);
  return block;
}

void DeviceAllocator::free(Block* block) noexcept {
  const std::lock_guard lock(mutex_);
  statistics_.allocated.add(-static_cast<int64_t>(block->bytes));
  statistics_.requested.add(-static_cast<int64_t>(block->requested));
  statistics_.allocations.add(-1);
  block->state = Block::State::waiting;
  block->waits = 1;
  if (!block->users.empty() && becomes_current(device_)) {
    for (CUstream user : block->users) block->waits += events_.add(user, block) ? 1 : 0;
  }
  reuse(block);
}

void DeviceAllocator::use_on(Block* block, CUstream stream) {
  const std::lock_guard lock(mutex_);
  if (block->segment->pool->stream == stream) return;
  if (std::find(block->users.begin(), block->users.end(), stream) == block->users.end()) {
    block->users.push_back(stream);
  }
}

// One of the reasons to wait for `block` is gone; after the last it is free.
void DeviceAllocator::reuse(Block* block) {
  if (--block->waits > 0) return;
  statistics_.active.add(-static_cast<int64_t>(block->bytes));
  statistics_.active_blocks.add(-1);
  FreeBlocks& free = block->segment->pool->free;
  block->state = Block::State::free;
  block->requested = 0;
  block->users.clear();
  if (Block* next = block->after; next != nullptr && next->state == Block::State::free) {
    free.remove(next);
    absorb(block, next);
  }
  if (Block* last = block->before; last != nullptr && last->state == Block::State::free) {
    free.remove(last);
    absorb(last, block);
    block = last;
  }
  if (block->is_whole()) {
    block->segment->idle_since = ++idle_clock_;
    if (allocates_directly()) return drop(block->segment);
  }
  free.insert(block);
}

// `block` grows over its neighbour `next`, which is free and in no list.
void DeviceAllocator::absorb(Block* block, Block* next) {
  block->bytes += next->bytes;
  block->after = next->after;
  if (next->after != nullptr) next->after->before = block;
  *next = Block();
  spare_.push_back(next);
}

// Leaves `bytes` to `block`, where the rest is worth keeping, and makes that a free block.
void DeviceAllocator::split(Block* block, size_t bytes) {
  const size_t rest = block->bytes - bytes;
  if (rest == 0 || (!block->segment->small && rest <= kSmall)) return;
  Block* made = nullptr;
  if (spare_.empty()) {
    made = new Block;
  } else {
    made = spare_.back();
    spare_.pop_back();
  }
  made->data = block->data + bytes;
  made->bytes = rest;
  made->segment = block->segment;
  made->before = block;
  made->after = block->after;
  if (block->after != nullptr) block->after->before = made;
  block->after = made;
  block->bytes = bytes;
  block->segment->pool->free.insert(made);
}

// A block of at least `bytes` that is in no list, from the driver or from what others give up.
Block* DeviceAllocator::grow(StreamPool& pool, size_t bytes) {
  use_device(device_);
  const bool small = bytes <= kSmall;
  const size_t wanted = segment_bytes(bytes);
  const auto reserved = static_cast<size_t>(statistics_.reserved.current);
  if (reserved + wanted > collect_) release_idle(reserved + wanted - collect_);
  if (Block* made = add_segment(pool, wanted, small)) return made;
  ++statistics_.retries;
  settle();
  if (Block* found = take(pool, bytes)) return found;
  release_idle(std::numeric_limits<size_t>::max());
  if (Block* made = add_segment(pool, wanted, small)) return made;
  if (Block* made = add_segment(pool, bytes, small)) return made;
  fail(bytes);
}

Block* DeviceAllocator::add_segment(StreamPool& pool, size_t bytes, bool small) {
  if (static_cast<size_t>(statistics_.reserved.current) + bytes > limit_) return nullptr;
  const CUdeviceptr data = ask_driver(bytes);
  if (data == 0) return nullptr;
  Block* block = new Block;
  block->data = data;
  block->bytes = bytes;
  block->segment = new Segment{this, &pool, block, bytes, small};
  segments_.insert(block->segment);
  statistics_.reserved.add(static_cast<int64_t>(bytes));
  statistics_.segments.add(1);
  return block;
}

// Gives a segment whose memory is one free block, in no list, to the driver, which waits for the
// device.
void DeviceAllocator::drop(Segment* segment) {
  Block* block = segment->first;
  if (becomes_current(device_)) {
    const OutsideCapture outside;
    driver().cuMemFree_(block->data);
  }
  statistics_.reserved.add(-static_cast<int64_t>(segment->bytes));
  statistics_.segments.add(-1);
  segments_.erase(segment);
  delete segment;
  delete block;
}

// Drops idle segments, the longest idle first, until `enough` bytes are gone. Those of private
// pools stay: a graph knows their addresses.
void DeviceAllocator::release_idle(size_t enough) {
  std::vector<Segment*> idle;
  for (Segment* s : segments_) {
    const bool unused = s->first->is_whole() && s->first->state == Block::State::free;
    if (unused && s->pool->owner == nullptr) idle.push_back(s);
  }
  std::sort(idle.begin(), idle.end(),
            [](const Segment* a, const Segment* b) { return a->idle_since < b->idle_since; });
  size_t gone = 0;
  for (Segment* s : idle) {
    if (gone >= enough) return;
    gone += s->bytes;
    s->pool->free.remove(s->first);
    drop(s);
  }
}

void DeviceAllocator::settle() {
  const OutsideCapture outside;
  events_.settle([this](Block* b) { reuse(b); });
}

void DeviceAllocator::release_cached() {
  const std::lock_guard lock(mutex_);
  use_device(device_);
  settle();
  release_idle(std::numeric_limits<size_t>::max());
}

void DeviceAllocator::adopt(const MemoryPool* owner) {
  const std::lock_guard lock(mutex_);
  for (Segment* s : segments_) {
    StreamPool& old = *s->pool;
    if (old.owner != owner) continue;
    StreamPool& common = pool_of(old.stream, nullptr);
    for (Block* b = s->first; b != nullptr; b = b->after) {
      if (b->state != Block::State::free) continue;
      old.free.remove(b);
      common.free.insert(b);
    }
    s->pool = &common;
  }
  std::erase_if(pools_, [owner](const auto& p) { return p->owner == owner; });
}

MemoryStatistics DeviceAllocator::statistics() {
  const std::lock_guard lock(mutex_);
  return statistics_;
}

void DeviceAllocator::reset_peaks() {
  const std::lock_guard lock(mutex_);
  MemoryStatistics& s = statistics_;
  for (Counter* c : {&s.allocated, &s.active, &s.requested, &s.reserved, &s.allocations,
                     &s.active_blocks, &s.segments}) {
    c->peak = c->current;
  }
}

std::vector<SegmentInfo> DeviceAllocator::snapshot() {
  const std::lock_guard lock(mutex_);
  return describe();
}

std::vector<SegmentInfo> DeviceAllocator::describe() const {
  std::vector<SegmentInfo> all;
  for (const Segment* s : segments_) {
    SegmentInfo info{s->first->data,
                     s->bytes,
                     reinterpret_cast<uint64_t>(s->pool->stream),
                     s->small,
                     s->pool->owner != nullptr,
                     {}};
    for (const Block* b = s->first; b != nullptr; b = b->after) {
      info.blocks.push_back({b->data, b->bytes, b->requested, name_of(b->state),
                             b->holder != nullptr ? *b->holder : std::string()});
    }
    all.push_back(std::move(info));
  }
  std::sort(all.begin(), all.end(),
            [](const SegmentInfo& a, const SegmentInfo& b) { return a.address < b.address; });
  return all;
}

void DeviceAllocator::fail(size_t bytes) {
  ++statistics_.failures;
  throw Error(ErrorKind::memory,
              out_of_memory_text(device_, bytes, limit_, statistics_, describe()));
}

}  // namespace ostinato::cuda
