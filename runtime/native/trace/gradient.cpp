// Backward in a trace: where gradients go, and the grads of leaves as values.
#include <algorithm>

#include "ops.hpp"
#include "trace/tracer.hpp"

namespace ostinato {

// Whether a cotangent comes to `node` when it comes to the values in `reached`.
bool Tracer::is_on_path(const TraceNode& node, const std::vector<bool>& reached) const {
  const std::span<const int> results = trace_->results(node);
  return !node.no_grad &&
         std::any_of(results.begin(), results.end(), [&](int r) { return reached[r]; });
}

// The values that `roots` depend on through recorded ops.
std::vector<bool> Tracer::reached_from(std::span<const int> roots) const {
  std::vector<bool> reached(values().size(), false);
  for (int root : roots) reached[root] = true;
  for (size_t n = trace_->nodes.size(); n-- > 0;) {
    const TraceNode& node = trace_->nodes[n];
    if (!is_on_path(node, reached)) continue;
    for (int o : trace_->operands(node)) {
      if (o >= 0 && values()[o].requires_grad) reached[o] = true;
    }
  }
  return reached;
}

GradientPath Tracer::path_of(std::span<const int> roots) const {
  std::vector<bool> reached = reached_from(roots);
  GradientPath path;
  for (int i : inputs_) {
    if (reached[i] && values()[i].requires_grad) path.leaves.push_back(i);
  }
  for (const TraceNode& node : trace_->nodes)
    path.released |= node.released && is_on_path(node, reached);
  return path;
}

std::vector<Tensor> Tracer::gradient(const Tensor& root, const Tensor& seed,
                                     std::span<const Tensor> inputs, bool retain) {
  std::vector<int> operands = {value_of(root), value_of(seed)};
  std::vector<int> wanted;
  for (const Tensor& t : inputs) wanted.push_back(value_of(t));
  const std::span<const int> from(operands.data(), 1);
  GradientPath path = path_of(from);
  if (path.released) {
    throw Error(ErrorKind::gradient,
                "backward: the saved tensors of what leads here are gone, since backward ran "
                "before; pass retain_graph=True to the first");
  }
  if (inputs.empty()) wanted = leaves_of(path, operands[0]);
  // Half of a backward is never recorded.
  for (int leaf : inputs.empty() ? wanted : std::vector<int>()) {
    const Tensor grad = autograd_state(values()[leaf].tensor).grad;
    if (grad) expect_writable(grad);
  }
  if (!retain) release(from);
  operands.insert(operands.end(), wanted.begin(), wanted.end());
  TraceNode& node = trace_->add_node(nullptr, operands, {}, call_site(), false, false);
  std::vector<Tensor> made;
  for (int w : wanted) {
    const TensorMeta meta = values()[w].meta;
    const int id = trace_->add_value({TraceValue::Kind::result, meta});
    trace_->add_result(node, id);
    made.push_back(traced_tensor(meta.sizes, meta.dtype, meta.device));
    add_made(made.back(), id, false);
  }
  if (inputs.empty()) accumulate(wanted, made);
  return inputs.empty() ? std::vector<Tensor>() : made;
}

// Where the gradient of `root` is accumulated: its inputs, and the leaves that the region made.
std::vector<int> Tracer::leaves_of(const GradientPath& path, int root) const {
  for (int i : path.leaves) {
    const Tensor& t = values()[i].tensor;
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
  const int from = value_of(t);
  const int id =
      emit(op_info(op::detach), {&from, 1}, {}, {t.dtype(), t.sizes(), t.device()}, true);
  trace_->values[id].requires_grad = true;
  trace_->values[id].tensor = t;
  trace_->digest.add(static_cast<uint64_t>(id));
  Cell& cell = *cell_of(t->storage.get());
  if (cell.root == t.get() && cell.input < 0) cell.value = id;
  set_mark(t.get(), id, cell.version);
  own_leaves_.push_back(id);
  t->requires_grad = true;
  note_tensor_change();
}

void Tracer::release(std::span<const int> roots) {
  std::vector<bool> reached = reached_from(roots);
  for (TraceNode& node : trace_->nodes) {
    node.released |= node.saves && is_on_path(node, reached);
  }
}

// Adds gradients into the grads of leaves.
void Tracer::accumulate(std::span<const int> leaves, std::span<const Tensor> gradients) {
  for (size_t i = 0; i < leaves.size(); ++i) {
    Tensor leaf = values()[leaves[i]].tensor;
    note_grad(leaf);
    Tensor& grad = autograd_state(leaf).grad;
    if (!grad) {
      grad = gradients[i];
      continue;
    }
    const GradMode off(false);
    Tensor pair[] = {grad, gradients[i]};
    call_op_inplace(op_info(op::add), pair, {});
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
