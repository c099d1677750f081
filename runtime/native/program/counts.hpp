// How often Programs were made and run in this process.
#pragma once
#include <atomic>
#include <cstdint>

namespace ostinato {

struct ProgramCounts {
  std::atomic<int64_t> derived{0};       // Programs of single calls, from the rules
  std::atomic<int64_t> loaded{0};        // the same, from the disk
  std::atomic<int64_t> tape_derived{0};  // Programs of whole tapes
  std::atomic<int64_t> tape_loaded{0};
  std::atomic<int64_t> tape_runs{0};  // backward runs by a Program of a whole tape
};

inline ProgramCounts& program_counts() {
  static ProgramCounts counts;
  return counts;
}

}  // namespace ostinato
