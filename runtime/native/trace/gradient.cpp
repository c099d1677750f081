// Backward in a trace: where gradients go, and the grads of leaves as values.
#include <algorithm>

#include "ops.hpp"
#include "trace/tracer.hpp"

namespace ostinato {
namespace {

// Whether a cotangent comes to `node` when it comes to the values in `reached`.
bool is_on_path(const TraceNode& node, const std::vector<bool>& reached) {
  return !node.no_grad &&
         std::any_of(node.results.begin(), node.results.end(), [&](int r) { return reached[r]; });
}

}  // namespace

// The values that `roots` depend on through recorded ops.
std::vector<bool> Tracer::reached_from(std::span<const int> roots) const {
  std::vector<bool> reached(values_.size(), false);
  for (int root : roots) reached[root] = true;
  for (size_t n = nodes_.size(); n-- > 0;) {
    const TraceNode& node = nodes_[n];
    if (!is_on_path(node, reached)) continue;
    for (int o : node.operands) {
      if (o >= 0 && values_[o].requires_grad) reached[o] = true;
    }
  }
  return reached;
}

GradientPath Tracer::path_of(std::span<const int> roots) const {
  std::vector<bool> reached = reached_from(roots);
  GradientPath path;
  for (int i : inputs_) {
    if (reached[i] && values_[i].requires_grad) path.leaves.push_back(i);
  }
  for (const TraceNode& node : nodes_) path.released |= node.released && is_on_path(node, reached);
  return path;
}

std::vector<Tensor> Tracer::gradient(const Tensor& root, const Tensor& seed,
                                     std::span<const Tensor> inputs, bool retain) {
  TraceNode node{nullptr, {value_of(root), value_of(seed)}, {}, {}, {}, false};
  std::swap(node.site, call_site());
  std::vector<int> wanted;
  for (const Tensor& t : inputs) wanted.push_back(value_of(t));
  GradientPath path = path_of({node.operands.data(), 1});
  if (path.released) {
    throw Error(ErrorKind::gradient,
                "backward: the saved tensors of what leads here are gone, since backward ran "
                "before; pass retain_graph=True to the first");
  }
  if (inputs.empty()) wanted = leaves_of(path, node.operands[0]);
  if (!retain) release({node.operands.data(), 1});
  std::vector<Tensor> made;
  for (int w : wanted) {
    Tensor g = traced_tensor(values_[w].meta.sizes, values_[w].meta.dtype, values_[w].meta.device);
    int id = new_value({TraceValue::Kind::result, values_[w].meta});
    node.operands.push_back(w);
    node.results.push_back(id);
    cells_[g->storage.get()] = {g, -1, id};
    states_[g.get()] = {id, 0};
    keep_.push_back(g);
    made.push_back(g);
  }
  nodes_.push_back(std::move(node));
  if (inputs.empty()) accumulate(wanted, made);
  return inputs.empty() ? std::vector<Tensor>() : made;
}

// Where the gradient of `root` is accumulated: its inputs, and the leaves that the region made.
std::vector<int> Tracer::leaves_of(const GradientPath& path, int root) const {
  for (int i : path.leaves) {
    const Tensor& t = values_[i].tensor;
    if (!t->autograd || !t->autograd->node) continue;
    throw Error(ErrorKind::capture,
                "capture: backward leads to an input that a recorded op outside of the region "
                "made; call backward outside, compute that input inside, or detach() it");
  }
  std::vector<int> leaves = path.leaves;
  const std::vector<bool> reached = reached_from({&root, 1});
  for (int leaf : own_leaves_) {
    if (reached[leaf]) leaves.push_back(leaf);
  }
  return leaves;
}

void Tracer::make_leaf(const Tensor& t) {
  // No gradient goes on from here, whatever the value came from.
  const int id =
      emit(op_info(op::detach), {value_of(t)}, {}, {t.dtype(), t.sizes(), t.device()}, true);
  values_[id].requires_grad = true;
  values_[id].tensor = t;
  Cell& cell = cells_[t->storage.get()];
  if (cell.root.same(t) && cell.input < 0) cell.value = id;
  states_[t.get()] = {id, cell.version};
  own_leaves_.push_back(id);
  t->requires_grad = true;
  note_tensor_change();
}

void Tracer::release(std::span<const int> roots) {
  std::vector<bool> reached = reached_from(roots);
  for (TraceNode& node : nodes_) {
    node.released |= node.saves && is_on_path(node, reached);
  }
}

// Adds gradients into the grads of leaves.
void Tracer::accumulate(std::span<const int> leaves, std::span<const Tensor> gradients) {
  for (size_t i = 0; i < leaves.size(); ++i) {
    Tensor leaf = values_[leaves[i]].tensor;
    note_grad(leaf);
    Tensor& grad = autograd_state(leaf).grad;
    if (!grad) {
      grad = gradients[i];
      continue;
    }
    bool before = grad_enabled();
    set_grad_enabled(false);
    Tensor pair[] = {grad, gradients[i]};
    call_op_inplace(op_info(op::add), pair, {});
    set_grad_enabled(before);
  }
}

void Tracer::note_grad(const Tensor& leaf) {
  for (const GradChange& c : grads_) {
    if (c.leaf.same(leaf)) return;
  }
  grads_.push_back({leaf, autograd_state(leaf).grad, -1});
}

std::vector<Tensor> Tracer::changed_leaves() const {
  std::vector<Tensor> leaves;
  for (const GradChange& c : grads_) leaves.push_back(c.leaf);
  return leaves;
}

std::vector<GradChange> Tracer::grad_changes() {
  std::vector<GradChange> out = grads_;
  for (GradChange& c : out) {
    const Tensor& now = autograd_state(c.leaf).grad;
    c.kept = now && c.before && now.same(c.before);
    c.value = now && !c.kept ? value_of(now) : -1;
  }
  return out;
}

}  // namespace ostinato
