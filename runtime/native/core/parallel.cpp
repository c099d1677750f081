#include "core/parallel.hpp"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <climits>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <thread>

namespace ostinato {
namespace {

constexpr int kMaxThreads = 256;
constexpr int kJobs = 16;   // callers at once that get help; others work alone
constexpr int kShares = 4;  // pieces for each thread, so that a late one costs little
constexpr int kWordBits = 64;
constexpr int kWords = 4;
constexpr int kSpins = 2000;  // looks at the bell before a worker sleeps: some 50 microseconds

inline void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  std::this_thread::yield();
#endif
}

thread_local bool inside = false;

// One call of parallel_for: up to kWords * 64 pieces, each claimed by setting its bit.
struct Job {
  Job(RangeFn fn, void* context, int64_t n, int64_t piece, int pieces, int threads)
      : fn(fn), context(context), n(n), piece(piece), pieces(pieces), threads(threads) {}

  const RangeFn fn;
  void* const context;
  const int64_t n;
  const int64_t piece;
  const int pieces;
  const int threads;
  std::atomic<int> unclaimed{pieces};
  std::atomic<uint64_t> claimed[kWords] = {};
  std::atomic<bool> failed{false};
  std::exception_ptr error;

  bool claim(int i) {
    const uint64_t bit = uint64_t{1} << (i % kWordBits);
    std::atomic<uint64_t>& word = claimed[i / kWordBits];
    if ((word.load(std::memory_order_relaxed) & bit) != 0) return false;
    if ((word.fetch_or(bit, std::memory_order_relaxed) & bit) != 0) return false;
    unclaimed.fetch_sub(1, std::memory_order_relaxed);
    return true;
  }

  void run(int i) {
    try {
      fn(context, i * piece, std::min((i + 1) * piece, n));
    } catch (...) {
      if (!failed.exchange(true)) error = std::current_exception();
    }
  }

  // Each thread starts at its own place, so that the same thread meets the same data in call after
  // call, and goes on where others are late.
  void work(int thread) {
    const int start = pieces * thread / threads;
    for (int k = 0; k < pieces && unclaimed.load(std::memory_order_relaxed) > 0; ++k) {
      const int i = start + k < pieces ? start + k : start + k - pieces;
      if (claim(i)) run(i);
    }
  }
};

// A caller's place on the board. A worker enters before it reads the job; the caller takes the job
// down and then waits until nobody is inside.
struct alignas(64) Slot {
  std::atomic<bool> taken{false};
  std::atomic<Job*> job{nullptr};
  std::atomic<int> visitors{0};
};

class Pool {
 public:
  explicit Pool(int threads) : threads_(threads) {}
  int threads() const { return threads_.load(std::memory_order_relaxed); }
  void resize(int threads) { threads_.store(threads, std::memory_order_relaxed); }
  void run(Job& job);

 private:
  Slot* take_slot();
  void start_workers(int needed);
  void ring(int helpers);
  void serve(int id);
  bool help(int id);

  std::atomic<int> threads_;
  std::atomic<int> started_{1};  // the caller counts as thread 0
  std::mutex starting_;
  alignas(64) std::atomic<uint32_t> bell_{0};
  std::atomic<int> sleeping_{0};
  Slot slots_[kJobs];
};

int default_threads() {
  if (const char* given = std::getenv("OSTINATO_NUM_THREADS")) {
    const int n = std::atoi(given);
    if (n > 0) return std::min(n, kMaxThreads);
  }
  cpu_set_t set;
  const int n = sched_getaffinity(0, sizeof set, &set) == 0
                    ? CPU_COUNT(&set)
                    : static_cast<int>(std::thread::hardware_concurrency());
  return std::clamp(n, 1, kMaxThreads);
}

// Leaked: workers run until the process ends. A forked child has no workers, so it gets a new one.
std::atomic<Pool*> current{nullptr};

Pool& pool() {
  Pool* p = current.load(std::memory_order_acquire);
  if (p != nullptr) return *p;
  static std::once_flag once;
  std::call_once(once, [] {
    current.store(new Pool(default_threads()), std::memory_order_release);
    pthread_atfork(nullptr, nullptr, [] {
      current.store(new Pool(current.load()->threads()), std::memory_order_release);
    });
  });
  return *current.load(std::memory_order_acquire);
}

Slot* Pool::take_slot() {
  for (Slot& slot : slots_) {
    if (!slot.taken.load(std::memory_order_relaxed) && !slot.taken.exchange(true)) return &slot;
  }
  return nullptr;
}

void Pool::start_workers(int needed) {
  if (started_.load(std::memory_order_acquire) >= needed) return;
  const std::lock_guard lock(starting_);
  for (int id = started_.load(); id < needed; ++id) {
    try {
      std::thread([this, id] { serve(id); }).detach();
    } catch (const std::system_error&) {
      return;  // the machine gives no more threads; those that run do the work
    }
    started_.store(id + 1, std::memory_order_release);
  }
}

void Pool::ring(int helpers) {
  bell_.fetch_add(1);
  if (sleeping_.load() == 0) return;
  syscall(SYS_futex, &bell_, FUTEX_WAKE_PRIVATE, helpers, nullptr, nullptr, 0);
}

void Pool::run(Job& job) {
  Slot* slot = take_slot();
  if (slot != nullptr) {
    start_workers(job.threads);
    slot->job.store(&job);
    ring(std::min(job.threads, job.pieces) - 1);
  }
  inside = true;
  job.work(0);
  inside = false;
  if (slot != nullptr) {
    slot->job.store(nullptr);
    for (int spins = 0; slot->visitors.load() != 0; ++spins) {
      if (spins < kSpins)
        pause();
      else
        sched_yield();
    }
    slot->taken.store(false);
  }
  if (job.failed.load()) std::rethrow_exception(job.error);
}

// Works on what is on the board; false when nothing was.
bool Pool::help(int id) {
  bool helped = false;
  for (Slot& slot : slots_) {
    if (slot.job.load(std::memory_order_relaxed) == nullptr) continue;
    slot.visitors.fetch_add(1);
    Job* job = slot.job.load();
    if (job != nullptr && id < threads() && job->unclaimed.load(std::memory_order_relaxed) > 0) {
      job->work(id % job->threads);
      helped = true;
    }
    slot.visitors.fetch_sub(1);
  }
  return helped;
}

void Pool::serve(int id) {
  inside = true;
  for (;;) {
    const uint32_t heard = bell_.load();
    if (help(id)) continue;
    int spins = 0;
    while (spins < kSpins && bell_.load(std::memory_order_relaxed) == heard) {
      pause();
      ++spins;
    }
    if (spins < kSpins) continue;
    sleeping_.fetch_add(1);
    // Returns at once if the bell rang after `heard`.
    syscall(SYS_futex, &bell_, FUTEX_WAIT_PRIVATE, heard, nullptr, nullptr, 0);
    sleeping_.fetch_sub(1);
  }
}

// How long the pieces of [0, n) are: `grain` at least, as many for each thread where there are
// enough of them.
int64_t piece_of(int64_t n, int64_t grain, int threads) {
  const int64_t most = std::min<int64_t>(kWords * kWordBits, int64_t{kShares} * threads);
  const int64_t whole = std::min(most, n / grain);
  if (whole < threads) return grain;
  const int64_t pieces = whole / threads * threads;
  return (n + pieces - 1) / pieces;
}

}  // namespace

int num_threads() { return pool().threads(); }

void set_num_threads(int n) { pool().resize(std::clamp(n, 1, kMaxThreads)); }

void parallel_for(int64_t n, int64_t grain, RangeFn fn, void* context) {
  if (n <= 0) return;
  grain = std::max<int64_t>(grain, 1);
  const int threads = inside || n <= grain ? 1 : num_threads();
  if (threads == 1) return fn(context, 0, n);
  const int64_t piece = piece_of(n, grain, threads);
  const int pieces = static_cast<int>((n + piece - 1) / piece);
  if (pieces == 1) return fn(context, 0, n);
  Job job(fn, context, n, piece, pieces, std::min(threads, pieces));
  pool().run(job);
}

}  // namespace ostinato
