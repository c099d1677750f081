// A compiled region on the tape: a call puts one node there, whose gradient is a Program as well.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "autograd/tape.hpp"
#include "program/compiled.hpp"

namespace ostinato {

// A value that the backward Program reads: an input of the forward one, or one of its outputs.
struct Kept {
  bool is_input;
  int index;
};

// What ties a forward Program to the tape.
struct RegionTies {
  std::string name;          // "the compiled function f"
  std::vector<int> results;  // outputs that have gradients
  std::vector<int> wanted;   // inputs that these go to
  std::vector<Kept> kept;    // what backward reads, before the cotangents of `results`
  std::vector<int> spent;    // outputs whose recorded ops the region itself ran backward over
  size_t shown = 0;          // outputs before those that only backward reads
  Reach reach;               // from `results` to `wanted`, as positions in these
};

// Makes the backward Program for some of the `results`, by their positions: it takes `kept`, then
// their cotangents, and gives those of `wanted` that they reach.
using NarrowFn = std::function<std::shared_ptr<CompiledProgram>(const std::vector<int>& came)>;

// The forward Program of a region with the backward Program of its gradient. The backward one takes
// `kept`, then a cotangent for each of `results`, and gives one for each of `wanted`; it is null
// where there are no `results`. Where not all cotangents come, `narrow` makes another, once.
class RegionProgram {
 public:
  RegionProgram(std::shared_ptr<CompiledProgram> forward, std::shared_ptr<CompiledProgram> backward,
                RegionTies ties, NarrowFn narrow);

  // Runs may be asked for other results than `outputs`; see `CompiledProgram`.
  void may_spare(std::span<const int> outputs);
  // The first `shown` outputs of the forward Program, now results of a node of the tape. Null may
  // stand for those that can be spared and are none of `wanted`.
  std::vector<Tensor> run(std::span<const Tensor> inputs, std::span<const int> wanted);
  size_t shown() const { return ties_.shown; }

 private:
  std::vector<int> asked(std::span<const int> wanted) const;
  Ref<Node> open_node(std::span<const Tensor> inputs) const;
  void keep(Node& node, std::span<const Tensor> inputs, std::span<const Tensor> made) const;

  std::shared_ptr<CompiledProgram> forward_;
  std::shared_ptr<const GradientFunction> gradient_;
  RegionTies ties_;
  std::vector<int> spare_;  // outputs that no gradient needs
};

}  // namespace ostinato
