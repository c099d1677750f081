// What a run of a compiled Program may leave out: results that nobody asks for now and then, and
// the steps that nothing else waits for.
#pragma once
#include <cstddef>
#include <span>
#include <vector>

namespace ostinato {

class CompiledProgram;

// In the place of a result that a run is not asked for.
constexpr int kSpared = -1;

class SparedSteps {
 public:
  SparedSteps() = default;
  // Of the results `outputs` of a Program.
  SparedSteps(const CompiledProgram& program, std::span<const int> outputs);

  // From now on all is left out that none of `wanted` needs.
  void choose(std::span<const int> wanted);
  bool has_step(size_t s) const { return !steps_.empty() && step_is_spared_[s]; }
  // Whether nothing writes a result.
  bool has_output(int o) const { return !steps_.empty() && output_is_spared_[o]; }
  // Those that can be left out.
  const std::vector<size_t>& steps() const { return steps_; }

 private:
  struct Output {
    int number;
    std::vector<size_t> writers;
  };

  std::vector<Output> outputs_;  // that may be spared
  std::vector<size_t> steps_;
  std::vector<std::vector<int>> waiting_;  // for each of these the results that need it
  std::vector<bool> step_is_spared_, output_is_spared_;
};

}  // namespace ostinato
