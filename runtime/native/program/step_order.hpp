// Which steps of a Program wait for which: those that touch the same bytes, one of them writing.
#pragma once
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace ostinato {

// Bytes [first, last) of one memory, read or written by a step. Memories have nothing in common.
struct Access {
  int step;
  int memory;
  int64_t first;
  int64_t last;
  bool writes;
};

// The second step runs after the first.
using StepEdge = std::pair<int, int>;

// The fewest edges that keep steps 0 to `steps` - 1 in the order that their accesses need;
// `accesses` are sorted by step.
std::vector<StepEdge> order_steps(int steps, std::span<const Access> accesses);
// `edges`, from lower to higher steps, and as many more as it takes for the steps to lie in that
// many chains.
std::vector<StepEdge> in_lanes(int steps, std::span<const StepEdge> edges, int lanes);
// Pairs of steps that touch the same bytes, one of them writing, with no path of `edges` between.
// `edges` lead from lower to higher steps.
std::vector<StepEdge> unordered_steps(int steps, std::span<const Access> accesses,
                                      std::span<const StepEdge> edges);

}  // namespace ostinato
