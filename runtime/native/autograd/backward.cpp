#include "autograd/tape.hpp"
#include "autograd/walk.hpp"

namespace ostinato {

std::vector<Tensor> backward(std::span<const Tensor> roots, std::span<const Tensor> seeds,
                             std::span<const Tensor> inputs, const BackwardOptions& options) {
  struct Restore {
    bool before = grad_enabled();
    ~Restore() { set_grad_enabled(before); }
  } restore;
  set_grad_enabled(options.create_graph);
  return walk(roots, seeds, inputs, options);
}

}  // namespace ostinato
