// Where the tensors of a compiled Program lie now: inputs and outputs move, everything else stays.
#pragma once
#include <map>
#include <span>
#include <vector>

#include "core/tensor.hpp"

namespace ostinato {

namespace cuda {
class Stream;
}
class CompiledProgram;
struct Placed;
struct Workspace;

// Memory of which nothing is known but its length.
Tensor bytes_on(size_t bytes, Device device);

// Pointers and views are made once; `move_input` and `move_output` change those that follow.
class Memory {
 public:
  // Intermediates lie in `workspace`.
  Memory(const CompiledProgram& program, Workspace& workspace);

  // Input or output `i` has its first element at `data` from now on.
  void move_input(size_t i, std::byte* data) { move(inputs_[i], data); }
  void move_output(size_t i, std::byte* data) { move(outputs_[i], data); }
  // The input that is a number, whose value may be set.
  const Tensor& number(size_t input) const { return inputs_[input].whole; }

  // The parameters of step `s`, a launch; they lie there as long as this does.
  void** pointers(size_t s) { return pointers_.data() + steps_[s].first; }
  // Of a call: operands (null where absent) and results. They hold no memory of inputs and outputs.
  std::span<const Tensor> operands(size_t s) const { return steps_[s].operands; }
  std::span<Tensor> results(size_t s) { return steps_[s].results; }
  // The steps that a moved input or output is used in, since `settle`.
  std::span<const int> moved() const { return moved_; }
  void settle();
  // What intermediates lie in is also used on `stream` from now on.
  void record_stream(const cuda::Stream& stream) const;

 private:
  struct Use {
    int step;
    int pointer;  // index into pointers_, -1 for a call
    int64_t offset;
  };
  struct Movable {
    std::byte* data = nullptr;
    Tensor whole;  // over a storage that is pointed elsewhere
    std::vector<Use> uses;
  };
  struct Step {
    int first = 0;  // of a launch, in pointers_
    std::vector<Tensor> operands, results;
    bool moved = false;
  };

  void add_step(const CompiledProgram& program, int s);
  void add_pieces(const CompiledProgram& program);
  Tensor view_of(const Placed& p) const;
  Movable* movable(const Placed& p);
  void move(Movable& m, std::byte* data);

  Tensor arena_, host_;
  // Instead of an arena whose allocator is direct: memory for each place in it.
  std::map<int64_t, Tensor> pieces_;
  std::vector<Tensor> constants_;
  std::vector<Movable> inputs_, outputs_;
  std::vector<Tensor> views_;  // of all tensors of the Program
  std::vector<void*> pointers_;
  std::vector<Step> steps_;
  std::vector<int> moved_;
};

}  // namespace ostinato
