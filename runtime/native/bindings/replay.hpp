// A captured region that runs again: guards are checked, inputs found, and results handed out.
#pragma once
#include <nanobind/nanobind.h>

#include <optional>

#include "autograd/region.hpp"
#include "bindings/channel.hpp"
#include "bindings/index_bounds.hpp"
#include "bindings/input_guards.hpp"
#include "bindings/paths.hpp"
#include "bindings/read_guards.hpp"
#include "bindings/view_steps.hpp"

namespace ostinato::python {

class Replay {
 public:
  // Of a Program and its `Region` (frontend/ostinato/compiler/region.py).
  Replay(nb::object program, nb::handle region);

  // Whether everything that the capture relied on is as it was.
  bool fits(nb::handle leaves);
  bool are_apart(nb::handle leaves) { return tensors_.are_apart(leaves); }
  void check_indices(nb::handle leaves) const { indices_.check(leaves); }
  // What the captured function returned, flat.
  nb::list run(nb::list leaves);
  // The same of a region that is followed, whose results are the tensors that user code holds; null
  // in the place of those that `spared` says nobody needs.
  std::vector<Tensor> run_for_held(nb::list leaves, const std::vector<bool>& spared);
  // Its halves: the Program makes the results numbered `wanted`, and these are handed out.
  std::vector<Tensor> launch(nb::list leaves) { return run_program(leaves, wanted_); }
  nb::list hand_out(nb::list leaves, const std::vector<Tensor>& made) const;
  // The region's inputs now, numbers as tensors.
  std::vector<Tensor> inputs(nb::list leaves) const;
  const std::vector<int>& wanted() const { return wanted_; }
  int64_t runs() const { return runs_; }

  int traverse(visitproc visit, void* arg) const;
  void clear();

 private:
  struct Guard {
    Reader read;
    nb::object kind;
    nb::object value;
    bool holds(nb::handle leaves) const;
  };
  struct Source {
    int input;
    std::optional<TensorSource> tensor = {};
    std::optional<Reader> read = {};  // a number
  };
  struct Returned {
    int wanted = -1;
    std::optional<Reader> live = {};
    std::optional<TensorSource> tensor = {};
    ViewSteps view = {};  // of the tensor, or of what is wanted
    nb::object same = {};
  };

  // What is watched: the results that say what it was go to a channel.
  struct Watched {
    nb::object owner;
    Channel* channel;
    std::vector<int> wanted;
    int64_t every;
    std::optional<Reader> read = {};  // of `every`, where it is live
  };

  using Turns = std::vector<Channel::Turn>;

  std::vector<Tensor> run_program(nb::list leaves, std::span<const int> wanted);
  nb::list returned(nb::list leaves, std::span<const Tensor> made) const;
  void leave_behind(nb::list leaves, std::span<const Tensor> made) const;
  Turns take_turns(nb::handle leaves) const;
  std::vector<int> wanted_for(const Turns& turns) const;
  void record(const Turns& turns, std::span<const Tensor> made) const;
  static Tensor tensor_for(const Returned& r, std::span<const Tensor> made, nb::handle leaves);
  static nb::object handed(const Returned& r, std::span<const Tensor> made, nb::handle leaves);
  static Given find(const Source& s, nb::handle leaves);
  void run_region(nb::list leaves, std::span<const int> wanted, std::span<Tensor> made) const;
  void assign(std::span<const Tensor> now, std::span<const Tensor> made) const;
  void add_source(int input, nb::handle described);
  void add_returned(const std::string& kind, nb::handle what);
  void add_watched(nb::handle described);
  int want(int output);

  nb::object owner_;  // of one of these two
  CompiledProgram* program_ = nullptr;
  RegionProgram* region_ = nullptr;
  InputGuards tensors_;
  IndexBounds indices_;
  ReadGuards reads_;
  std::vector<Tensor> inputs_;  // those that stay the same tensor
  std::vector<Source> sources_;
  std::vector<Guard> guards_;
  std::vector<std::pair<TensorSource, bool>> grad_guards_;
  std::vector<std::pair<TensorSource, int>> grads_;
  std::vector<std::pair<int, int>> assigned_;
  std::vector<Returned> returned_;
  std::vector<Watched> watched_;
  std::vector<int> wanted_;
  int64_t runs_ = 0;
};

}  // namespace ostinato::python
