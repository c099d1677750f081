// Blocks of a grid run on the CPU, one after the other: each thread is a fiber that goes on until
// it must wait for others.
#pragma once
#include <cstdint>

namespace ostinato::cuda_on_cpu {

struct Dim {
  uint32_t x = 1, y = 1, z = 1;
};

// Of the running thread.
extern Dim threadIdx, blockIdx, blockDim, gridDim;
uint32_t lane();

// Wait until every thread of the block, or of the warp, that has not ended waits too.
void wait_for_block();
void wait_for_warp();
// Gives `count` words to the warp; returns those of its 32 lanes: the first of each, then the
// second.
const uint32_t* exchange(const uint32_t* given, uint32_t count);
inline const uint32_t* exchange(uint32_t word) { return exchange(&word, 1); }
inline constexpr uint32_t kMostWords = 6;  // that lanes exchange at a time

using RunFn = void (*)(void** arguments);
struct Register {
  Register(const char* kernel, RunFn run);
};

}  // namespace ostinato::cuda_on_cpu

// Runs `kernel` and returns null, or says what is wrong: there is no such kernel, threads would
// wait for each other for ever, or lanes that have ended are asked for words.
extern "C" const char* run_kernel(const char* kernel, const uint32_t* grid, const uint32_t* block,
                                  void** arguments);
// The names of all kernels, each ended by a line feed.
extern "C" const char* kernel_names();
