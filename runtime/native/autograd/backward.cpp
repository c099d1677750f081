#include "autograd/anomaly.hpp"
#include "autograd/tape_program.hpp"
#include "autograd/walk.hpp"

namespace ostinato {
namespace {

// What the gradients of gradients need, and NaN checks, only the walk does.
bool may_run_program(std::span<const Tensor> roots, std::span<const Tensor> seeds,
                     const BackwardOptions& options) {
  return tape_programs_enabled() && !options.create_graph && !looks_for_anomaly() &&
         roots.size() == 1 && autograd_state(roots[0]).node &&
         seeds[0].dtype() == roots[0].dtype() && !seeds[0]->wrapped;
}

}  // namespace

std::vector<Tensor> backward(std::span<const Tensor> roots, std::span<const Tensor> seeds,
                             std::span<const Tensor> inputs, const BackwardOptions& options) {
  const GradMode mode(options.create_graph);
  std::vector<Ref<Node>> alive;  // even where another thread changes a root in place
  for (const Tensor& root : roots) alive.push_back(autograd_state(root).node);
  if (may_run_program(roots, seeds, options)) {
    std::vector<Node*> nodes;
    Ref<TapeProgram> program = find_tape_program({roots[0], inputs}, nodes);
    if (program) return run_tape_program(*program, seeds[0], options.retain, nodes);
  }
  return walk(roots, seeds, inputs, options);
}

}  // namespace ostinato
