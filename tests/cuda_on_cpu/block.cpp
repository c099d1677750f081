#include "block.hpp"

#include <ucontext.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace ostinato::cuda_on_cpu {

Dim threadIdx, blockIdx, blockDim, gridDim;

namespace {

constexpr size_t kStack = 64 << 10;
constexpr uint32_t kMostThreads = 1024;
constexpr uint32_t kWarp = 32;

enum class Wait : uint8_t { none, warp, block, ended };

struct Fiber {
  ucontext_t context;
  Dim index;
  Wait wait;
};

struct Warp {
  uint32_t words[2][kMostWords * kWarp];
  uint32_t turn[kWarp];  // exchanges that each lane has made
};

std::map<std::string, RunFn>& kernels() {
  static std::map<std::string, RunFn> made;
  return made;
}

// The block that runs.
struct Block {
  std::vector<Fiber> fibers = std::vector<Fiber>(kMostThreads);
  std::vector<char> stacks = std::vector<char>(kMostThreads * kStack);
  std::vector<Warp> warps = std::vector<Warp>(kMostThreads / kWarp);
  ucontext_t scheduler;
  uint32_t count = 0, current = 0;
  bool is_partial = false;  // a warp exchanged words of which lanes had ended
  RunFn run = nullptr;
  void** arguments = nullptr;

  static void enter();

  void begin(uint32_t i) {
    Fiber& f = fibers[i];
    getcontext(&f.context);
    f.context.uc_stack = {&stacks[i * kStack], 0, kStack};
    f.context.uc_link = &scheduler;
    f.index = {i % blockDim.x, i / blockDim.x % blockDim.y, i / blockDim.x / blockDim.y};
    f.wait = Wait::none;
    makecontext(&f.context, &Block::enter, 0);
  }

  void wait(Wait for_what) {
    const uint32_t self = current;
    fibers[self].wait = for_what;
    swapcontext(&fibers[self].context, &scheduler);
  }

  // Lets threads [first, last) go on if each of them waits for `what` or has ended.
  bool release(uint32_t first, uint32_t last, Wait what) {
    bool any = false;
    for (uint32_t i = first; i < last; ++i) {
      if (fibers[i].wait == Wait::ended) continue;
      if (fibers[i].wait != what) return false;
      any = true;
    }
    for (uint32_t i = first; i < last && any; ++i) {
      if (fibers[i].wait == what) fibers[i].wait = Wait::none;
    }
    return any;
  }

  bool release_any() {
    bool any = false;
    for (uint32_t first = 0; first < count; first += kWarp) {
      any |= release(first, std::min(count, first + kWarp), Wait::warp);
    }
    return any || release(0, count, Wait::block);
  }

  // False where threads wait that nobody lets go on.
  bool run_all() {
    count = blockDim.x * blockDim.y * blockDim.z;
    for (Warp& w : warps) w = {};
    is_partial = false;
    for (uint32_t i = 0; i < count; ++i) begin(i);
    do {
      for (current = 0; current < count; ++current) {
        Fiber& f = fibers[current];
        if (f.wait != Wait::none) continue;
        threadIdx = f.index;
        swapcontext(&scheduler, &f.context);
      }
    } while (release_any());
    for (uint32_t i = 0; i < count; ++i) {
      if (fibers[i].wait != Wait::ended) return false;
    }
    return true;
  }
};

Block& block() {
  static Block made;
  return made;
}

void Block::enter() {
  Block& b = block();
  b.run(b.arguments);
  b.fibers[b.current].wait = Wait::ended;
}

}  // namespace

uint32_t lane() { return block().current % kWarp; }

void wait_for_block() { block().wait(Wait::block); }
void wait_for_warp() { block().wait(Wait::warp); }

const uint32_t* exchange(const uint32_t* given, uint32_t count) {
  Block& b = block();
  const uint32_t lane = b.current % kWarp;
  Warp& warp = b.warps[b.current / kWarp];
  // Two buffers take turns: a lane that is ahead writes to the other one.
  uint32_t* words = warp.words[warp.turn[lane]++ % 2];
  for (uint32_t i = 0; i < count; ++i) words[i * kWarp + lane] = given[i];
  const uint32_t first = b.current - lane;
  for (uint32_t i = first; i < first + kWarp; ++i) {
    b.is_partial |= i >= b.count || b.fibers[i].wait == Wait::ended;
  }
  b.wait(Wait::warp);
  return words;
}

Register::Register(const char* kernel, RunFn run) { kernels()[kernel] = run; }

}  // namespace ostinato::cuda_on_cpu

using namespace ostinato::cuda_on_cpu;

const char* run_kernel(const char* kernel, const uint32_t* grid, const uint32_t* block_size,
                       void** arguments) {
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  const auto found = kernels().find(kernel);
  if (found == kernels().end()) return "there is no such kernel";
  Block& b = block();
  b.run = found->second;
  b.arguments = arguments;
  gridDim = {grid[0], grid[1], grid[2]};
  blockDim = {block_size[0], block_size[1], block_size[2]};
  for (uint32_t z = 0; z < gridDim.z; ++z) {
    for (uint32_t y = 0; y < gridDim.y; ++y) {
      for (uint32_t x = 0; x < gridDim.x; ++x) {
        blockIdx = {x, y, z};
        if (!b.run_all()) return "threads wait that nobody lets go on";
        if (b.is_partial) return "a warp exchanged words, and some of its lanes had ended";
      }
    }
  }
  return nullptr;
}

const char* kernel_names() {
  static const std::string names = [] {
    std::string all;
    for (const auto& [name, run] : kernels()) all += name + "\n";
    return all;
  }();
  return names.c_str();
}
