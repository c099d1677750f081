#include "core/allocator.hpp"

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <mutex>
#include <string>

#include "core/error.hpp"

namespace ostinato {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kKeepsBlocks = false;  // so that the sanitizer sees each block's life
#else
constexpr bool kKeepsBlocks = true;
#endif

struct Block {
  Block* next;
};

constexpr size_t kHugePage = size_t{2} << 20;
constexpr int64_t kUncounted = int64_t{64} << 10;
constexpr int kSmallClasses = class_of(size_t{48} << 10) + 1;
static_assert(bytes_of(class_of(1024)) == 1024 && bytes_of(class_of(1025)) == 1280);
static_assert(bytes_of(class_of(size_t{1} << 20)) == size_t{1} << 20);

// The most blocks of a class that a thread keeps; half of them move at a time.
constexpr uint32_t keep_of(int c) {
  const size_t blocks = (size_t{256} << 10) / bytes_of(static_cast<SizeClass>(c));
  return static_cast<uint32_t>(std::clamp<size_t>(blocks, 4, 128));
}

struct ThreadCache {
  struct List {
    Block* head = nullptr;
    uint32_t count = 0;
  };
  List lists[kSmallClasses];
  std::atomic<int64_t> uncounted{0};  // written by its thread alone
  ThreadCache* previous = nullptr;
  ThreadCache* next = nullptr;
};

// What all threads share. Never destroyed: tensors of static objects outlive any destructor here.
struct Shared {
  std::mutex mutex;
  Block* free[kSizeClasses] = {};
  size_t kept = 0;
  ThreadCache* threads = nullptr;
  std::atomic<int64_t> allocated{0};
  std::atomic<int64_t> reserved{0};
  std::atomic<int64_t> peak{0};
  const size_t keep_limit = static_cast<size_t>(sysconf(_SC_PHYS_PAGES)) *
                            static_cast<size_t>(sysconf(_SC_PAGE_SIZE)) / 4;
};

Shared& shared() {
  static Shared* const made = [] {
    pthread_atfork([] { shared().mutex.lock(); }, [] { shared().mutex.unlock(); },
                   [] { shared().mutex.unlock(); });
    return new Shared;
  }();
  return *made;
}

Block* from_machine(size_t bytes) {
  const size_t align = bytes >= 2 * kHugePage ? kHugePage : kAlignment;
  const size_t rounded = (bytes + align - 1) / align * align;
  void* p = std::aligned_alloc(align, rounded);
  if (p == nullptr) return nullptr;
  if (align == kHugePage) madvise(p, rounded, MADV_HUGEPAGE);
  shared().reserved.fetch_add(static_cast<int64_t>(bytes), std::memory_order_relaxed);
  return static_cast<Block*>(p);
}

void to_machine(Block* block, size_t bytes) {
  std::free(block);
  shared().reserved.fetch_sub(static_cast<int64_t>(bytes), std::memory_order_relaxed);
}

Block* need_from_machine(size_t bytes) {
  Block* block = from_machine(bytes);
  if (block == nullptr) {
    release_cached_memory();
    block = from_machine(bytes);
  }
  if (block != nullptr) return block;
  throw Error(ErrorKind::runtime, "allocate: the machine refuses " + std::to_string(bytes) +
                                      " more bytes; free tensors, or use smaller ones");
}

// Frees kept large blocks, the largest first, until at most `limit` bytes are kept. Needs the lock.
void drop_kept(Shared& s, size_t limit) {
  for (int c = kSizeClasses - 1; c >= kSmallClasses && s.kept > limit; --c) {
    const size_t bytes = bytes_of(static_cast<SizeClass>(c));
    while (s.free[c] != nullptr && s.kept > limit) {
      Block* block = s.free[c];
      s.free[c] = block->next;
      s.kept -= bytes;
      to_machine(block, bytes);
    }
  }
}

Block* take_large(SizeClass& wanted) {
  Shared& s = shared();
  {
    const std::lock_guard lock(s.mutex);
    // Lengths that vary a little share memory.
    const int last = std::min<int>(wanted + 3, kSizeClasses);
    for (int c = wanted; c < last; ++c) {
      Block* block = s.free[c];
      if (block == nullptr) continue;
      s.free[c] = block->next;
      wanted = static_cast<SizeClass>(c);
      s.kept -= bytes_of(wanted);
      return block;
    }
  }
  return need_from_machine(bytes_of(wanted));
}

void give_large(Block* block, SizeClass c) {
  if (!kKeepsBlocks) return to_machine(block, bytes_of(c));
  Shared& s = shared();
  const std::lock_guard lock(s.mutex);
  block->next = s.free[c];
  s.free[c] = block;
  s.kept += bytes_of(c);
  if (s.kept > s.keep_limit) drop_kept(s, s.keep_limit / 2);
}

// Moves up to `count` small blocks of class `c` into `list`.
void refill(ThreadCache::List& list, int c, uint32_t count) {
  Shared& s = shared();
  {
    const std::lock_guard lock(s.mutex);
    while (s.free[c] != nullptr && list.count < count) {
      Block* block = s.free[c];
      s.free[c] = block->next;
      block->next = list.head;
      list.head = block;
      ++list.count;
    }
  }
  if (list.count != 0) return;
  const size_t bytes = bytes_of(static_cast<SizeClass>(c));
  char* slab = reinterpret_cast<char*>(need_from_machine(bytes * count));
  for (uint32_t i = count; i-- > 0;) {
    Block* block = reinterpret_cast<Block*>(slab + i * bytes);
    block->next = list.head;
    list.head = block;
  }
  list.count = count;
}

// Moves blocks to the shared list until `count` are left.
void spill(ThreadCache::List& list, int c, uint32_t count) {
  Shared& s = shared();
  const std::lock_guard lock(s.mutex);
  while (list.count > count) {
    Block* block = list.head;
    list.head = block->next;
    --list.count;
    block->next = s.free[c];
    s.free[c] = block;
  }
}

void add_to_total(int64_t bytes) {
  Shared& s = shared();
  const int64_t now = s.allocated.fetch_add(bytes, std::memory_order_relaxed) + bytes;
  int64_t seen = s.peak.load(std::memory_order_relaxed);
  while (now > seen && !s.peak.compare_exchange_weak(seen, now, std::memory_order_relaxed)) {
  }
}

// One word, so that the static model is safe in a library that is opened at run time.
__attribute__((tls_model("initial-exec"))) thread_local ThreadCache* cache = nullptr;
__attribute__((tls_model("initial-exec"))) thread_local bool thread_ended = false;

void enlist(ThreadCache* c) {
  Shared& s = shared();
  const std::lock_guard lock(s.mutex);
  c->next = s.threads;
  if (c->next != nullptr) c->next->previous = c;
  s.threads = c;
}

void retire(ThreadCache* c) {
  for (int i = 0; i < kSmallClasses; ++i) spill(c->lists[i], i, 0);
  add_to_total(c->uncounted.load(std::memory_order_relaxed));
  Shared& s = shared();
  const std::lock_guard lock(s.mutex);
  if (c->next != nullptr) c->next->previous = c->previous;
  (c->previous != nullptr ? c->previous->next : s.threads) = c->next;
}

struct ThreadEnd {
  ~ThreadEnd() {
    retire(cache);
    delete cache;
    cache = nullptr;
    thread_ended = true;
  }
};

// The cache of this thread; null where its thread-local objects are gone already.
ThreadCache* make_cache() {
  if (thread_ended || !kKeepsBlocks) return nullptr;
  cache = new ThreadCache;
  enlist(cache);
  static thread_local ThreadEnd at_end;
  static_cast<void>(&at_end);
  return cache;
}

inline ThreadCache* this_cache() { return cache != nullptr ? cache : make_cache(); }

void* allocate_small_uncached(SizeClass c) {
  if (!kKeepsBlocks) return need_from_machine(bytes_of(c));
  ThreadCache::List list;
  refill(list, c, 1);
  return list.head;
}

void free_small_uncached(Block* block, SizeClass c) {
  if (!kKeepsBlocks) return to_machine(block, bytes_of(c));
  ThreadCache::List list{block, 1};
  spill(list, c, 0);
}

}  // namespace

void* allocate_block(SizeClass& c) {
  if (c >= kSmallClasses) return take_large(c);
  ThreadCache* mine = this_cache();
  if (mine == nullptr) return allocate_small_uncached(c);
  ThreadCache::List& list = mine->lists[c];
  if (list.head == nullptr) refill(list, c, keep_of(c) / 2);
  Block* block = list.head;
  list.head = block->next;
  --list.count;
  return block;
}

void free_block(void* p, SizeClass c) {
  Block* block = static_cast<Block*>(p);
  if (c >= kSmallClasses) return give_large(block, c);
  ThreadCache* mine = this_cache();
  if (mine == nullptr) return free_small_uncached(block, c);
  ThreadCache::List& list = mine->lists[c];
  block->next = list.head;
  list.head = block;
  if (++list.count > keep_of(c)) spill(list, c, keep_of(c) / 2);
}

void count_allocated(int64_t bytes) {
  ThreadCache* mine = this_cache();
  if (mine == nullptr) return add_to_total(bytes);
  const int64_t sum = mine->uncounted.load(std::memory_order_relaxed) + bytes;
  const bool flush = sum > kUncounted || sum < -kUncounted;
  mine->uncounted.store(flush ? 0 : sum, std::memory_order_relaxed);
  if (flush) add_to_total(sum);
}

MemoryStats memory_stats() {
  Shared& s = shared();
  const std::lock_guard lock(s.mutex);
  int64_t allocated = s.allocated.load(std::memory_order_relaxed);
  for (ThreadCache* c = s.threads; c != nullptr; c = c->next) {
    allocated += c->uncounted.load(std::memory_order_relaxed);
  }
  const int64_t peak = s.peak.load(std::memory_order_relaxed);
  return {allocated, s.reserved.load(std::memory_order_relaxed), std::max(peak, allocated)};
}

void reset_peak_memory() {
  Shared& s = shared();
  s.peak.store(s.allocated.load(std::memory_order_relaxed), std::memory_order_relaxed);
}

void release_cached_memory() {
  Shared& s = shared();
  const std::lock_guard lock(s.mutex);
  drop_kept(s, 0);
}

}  // namespace ostinato
