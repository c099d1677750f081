#include "trace/tracer.hpp"

#include <algorithm>

#include "autograd/view.hpp"
#include "dispatch/op_table.hpp"
#include "ops.hpp"

namespace ostinato {
namespace {

thread_local Tracer* current = nullptr;

bool same_geometry(const Tensor& a, const Tensor& b) {
  return a->offset == b->offset && a.sizes() == b.sizes() && a.strides() == b.strides();
}

TensorMeta meta_of(const Tensor& t) { return {t.dtype(), t.sizes(), t.device()}; }

// A view of a traced tensor shares its storage; a reshape that would have to copy does not.
bool makes_view(const OpCall& call) {
  if (!call.op->view) return false;
  return call.op->id != op::reshape || call.operand(0).contiguous();
}

// Whether a cotangent comes to `node` when it comes to the values in `reached`.
bool is_on_path(const TraceNode& node, const std::vector<bool>& reached) {
  return !node.no_grad &&
         std::any_of(node.results.begin(), node.results.end(), [&](int r) { return reached[r]; });
}

// Whether the gradient of `t`, on the storage of `root`, is that of the root's elements.
bool is_tied(const Tensor& root, const Tensor& t) {
  return t.same(root) || (t->base && !t->unrecorded);
}

}  // namespace

Tracer::~Tracer() {
  if (running_) stop();
}

Tracer* Tracer::active() { return current; }

void Tracer::start() {
  outer_ = current;
  current = this;
  running_ = true;
}

void Tracer::stop() {
  if (!running_) return;
  running_ = false;
  current = outer_;
  for (GradChange& change : grads_) autograd_state(change.leaf).grad = change.before;
}

int Tracer::new_value(TraceValue value) {
  values_.push_back(std::move(value));
  return static_cast<int>(values_.size()) - 1;
}

int Tracer::emit(const OpInfo& op, std::vector<int> operands, std::vector<Attr> attrs,
                 TensorMeta meta, bool no_grad) {
  bool grad = !no_grad && is_differentiable(op) && has_gradient(operands);
  int id = new_value({TraceValue::Kind::result, std::move(meta), false, grad});
  nodes_.push_back({&op, std::move(operands), {id}, std::move(attrs), {}, no_grad, true});
  return id;
}

bool Tracer::has_gradient(std::span<const int> values) const {
  return std::any_of(values.begin(), values.end(),
                     [&](int v) { return v >= 0 && values_[v].requires_grad; });
}

int Tracer::add_input(const Tensor& t) {
  if (!t->wrapped) return value_of(t);
  auto [it, fresh] = number_inputs_.try_emplace(t.get(), 0);
  if (fresh) {
    keep_.push_back(t);
    it->second = new_value({TraceValue::Kind::input, meta_of(t), true, false, t});
    inputs_.push_back(it->second);
  }
  return it->second;
}

int Tracer::input_of(const Tensor& t) {
  auto [it, fresh] = cells_.try_emplace(t->storage.get());
  Cell& cell = it->second;
  if (!fresh) {
    if (covers(cell, t)) return -1;
    cell.shared = true;
    if (cell.version) {
      throw Error(ErrorKind::capture,
                  "capture: a tensor overlaps one that the region changes in place, in a way that "
                  "cannot be captured yet; clone() one of them");
    }
  }
  int id = new_value({TraceValue::Kind::input, meta_of(t), false, t->requires_grad, t});
  inputs_.push_back(id);
  if (fresh) cell = {t, id, id};
  return id;
}

// A tensor that can be computed from the value of its storage's root.
bool Tracer::covers(const Cell& cell, const Tensor& t) const {
  const Tensor& root = cell.root;
  if (same_geometry(root, t)) return root.dtype() == t.dtype();
  if (!root.contiguous() || root.dtype() != t.dtype()) return false;
  int64_t low = t->offset - root->offset, high = low;
  for (int i = 0; i < t.ndim(); ++i) {
    int64_t reach = (t.sizes()[i] - 1) * t.strides()[i];
    (reach < 0 ? low : high) += reach;
  }
  return t.numel() == 0 || (low >= 0 && high < root.numel());
}

std::vector<Attr> Tracer::geometry(const Cell& cell, const Tensor& t) const {
  return {Attr(t.sizes()), Attr(t.strides()), Attr(t->offset - cell.root->offset)};
}

int Tracer::value_of(const Tensor& t) {
  if (!t) return -1;
  if (!t->storage) {
    if (auto it = number_inputs_.find(t.get()); it != number_inputs_.end()) return it->second;
    return new_value({TraceValue::Kind::number, meta_of(t), t->wrapped, false, t});
  }
  auto found = states_.find(t.get());
  auto at = cells_.find(t->storage.get());
  if (found != states_.end() && at->second.version == found->second.version) {
    return found->second.value;
  }
  int id = -1;
  if (found == states_.end()) {
    if (t.is_traced() && at == cells_.end()) {
      throw Error(ErrorKind::capture,
                  "capture: a tensor of another capture has no value here; return it from that "
                  "function instead");
    }
    id = t.is_traced() ? -1 : input_of(t);
    keep_.push_back(t);
  }
  Cell& cell = cells_[t->storage.get()];
  if (id < 0) id = shown(cell, t);
  states_[t.get()] = {id, cell.version};
  return id;
}

// What `t` shows of the value of its storage now.
int Tracer::shown(const Cell& cell, const Tensor& t) {
  int id = cell.value;
  if (!same_geometry(cell.root, t)) {
    id = emit(op_info(op::as_strided), {id}, geometry(cell, t), meta_of(t));
  }
  if (!values_[id].requires_grad || is_tied(cell.root, t)) return id;
  if (t->unrecorded && grad_enabled()) refuse_unrecorded_view();
  return emit(op_info(op::detach), {id}, {}, meta_of(t));
}

void Tracer::record(const OpCall& call, const TensorMeta* metas, Tensor* results) {
  TraceNode node{call.op, {}, {}, {call.attrs.begin(), call.attrs.end()}, {}, !grad_enabled()};
  const Device device = device_of(call);
  for (const Tensor& t : call.operands) node.operands.push_back(value_of(t));
  bool grad = grad_enabled() && is_differentiable(*call.op) && has_gradient(node.operands);
  std::swap(node.site, call_site());
  bool view = makes_view(call);
  for (int i = 0; i < call.op->results; ++i) {
    results[i] = view ? call.op->view_fn(call, metas[i])
                      : traced_tensor(metas[i].sizes, metas[i].dtype, device);
    results[i]->requires_grad = grad && is_float(metas[i].dtype);
    int id = new_value(
        {TraceValue::Kind::result, meta_of(results[i]), false, results[i]->requires_grad});
    node.results.push_back(id);
    Cell& cell = cells_[results[i]->storage.get()];
    if (!view) cell = {results[i], -1, id};
    if (view && call.op->id != op::detach) note_view(results[i], call.operand(0));
    states_[results[i].get()] = {id, cell.version};
    keep_.push_back(results[i]);
  }
  nodes_.push_back(std::move(node));
}

void Tracer::record_inplace(const OpCall& call, const TensorMeta& meta) {
  Tensor self = call.operand(0);
  Tensor result;
  record(call, &meta, &result);
  write_to(self, result);
}

void Tracer::write_to(const Tensor& target, const Tensor& source) {
  int id = value_of(source);
  if (source.dtype() != target.dtype()) {
    id = emit(op_info(op::to), {id}, {Attr(target.dtype())}, meta_of(target), !grad_enabled());
  }
  write(target, id);
}

void Tracer::write(const Tensor& target, int value) {
  value_of(target);  // an input is one from here on
  Cell& cell = cells_[target->storage.get()];
  if (cell.shared) {
    throw Error(ErrorKind::capture,
                "capture: two inputs are different views of one storage that the region changes in "
                "place; clone() one of them");
  }
  const bool whole = same_geometry(cell.root, target);
  const bool recorded = grad_enabled() && is_tied(cell.root, target);
  int next = value;
  if (!whole) {
    next = emit(op_info(op::as_strided_scatter), {cell.value, value}, geometry(cell, target),
                meta_of(cell.root), !recorded);
  }
  // A gradient passes by a change that is not recorded.
  const bool passes = !recorded && values_[cell.value].requires_grad;
  if (passes) next = emit(op_info(op::changed), {cell.value, next}, {}, meta_of(cell.root));
  cell.value = next;
  cell.recorded |= recorded && values_[next].requires_grad;
  ++cell.version;
  states_[target.get()] = {value, passes ? cell.version - 1 : cell.version};
  states_[cell.root.get()] = {next, cell.version};
}

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
  if (inputs.empty()) wanted = path.leaves;
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

void Tracer::release(std::span<const int> roots) {
  std::vector<bool> reached = reached_from(roots);
  for (TraceNode& node : nodes_) {
    node.released |= node.op && !node.implied && is_on_path(node, reached);
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

bool Tracer::is_given(const Tensor& t) const {
  if (t.is_traced()) return false;
  auto at = states_.find(t.get());
  if (at == states_.end()) return true;
  return std::any_of(inputs_.begin(), inputs_.end(),
                     [&](int i) { return values_[i].tensor.same(t); });
}

void Tracer::note_grad(const Tensor& leaf) {
  for (const GradChange& c : grads_) {
    if (c.leaf.same(leaf)) return;
  }
  grads_.push_back({leaf, autograd_state(leaf).grad, -1});
}

std::vector<TraceWrite> Tracer::writes() const {
  std::vector<TraceWrite> out;
  for (int i : inputs_) {
    const Tensor& t = values_[i].tensor;
    if (!t->storage) continue;
    const Cell& cell = cells_.at(t->storage.get());
    if (cell.input == i && cell.version > 0) out.push_back({i, cell.value, cell.recorded});
  }
  return out;
}

std::vector<Tensor> Tracer::held() const {
  std::vector<Tensor> out;
  for (const Tensor& t : keep_) {
    if (t.is_traced() && t->py_object) out.push_back(t);
  }
  return out;
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

bool Tracer::requires_grad(const Tensor& t) {
  auto at = t->storage ? cells_.find(t->storage.get()) : cells_.end();
  if (at == cells_.end() || !at->second.version) return t->requires_grad;
  return values_[value_of(t)].requires_grad;
}

bool requires_grad(const Tensor& t) {
  return current ? current->requires_grad(t) : t->requires_grad || follows_base(t);
}

bool is_leaf(const Tensor& t) {
  if (t->autograd && t->autograd->node) return false;
  if (!t->requires_grad) return !requires_grad(t);
  return current ? current->is_given(t) : !t.is_traced();
}

}  // namespace ostinato
