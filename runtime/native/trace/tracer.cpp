#include "trace/tracer.hpp"

#include <algorithm>

#include "autograd/view.hpp"
#include "core/place.hpp"
#include "cpu/copy.hpp"
#include "dispatch/op_table.hpp"
#include "dispatch/shape_rules.hpp"
#include "ops.hpp"

namespace ostinato {
namespace {

thread_local Tracer* current = nullptr;

bool same_geometry(const Tensor& a, const Tensor& b) {
  return a->offset == b->offset && a.sizes() == b.sizes() && a.strides() == b.strides();
}

TensorMeta meta_of(const Tensor& t) { return {t.dtype(), t.sizes(), t.device()}; }

}  // namespace

bool is_tied(const Tensor& root, const Tensor& t) {
  return t.same(root) || (t->base && !t->unrecorded);
}

Tensor apply_views(Tensor source, std::span<const ViewStep> steps) {
  const bool before = grad_enabled();
  for (const ViewStep& s : steps) {
    set_grad_enabled(before && !s.no_grad);
    source = call_op(*s.op, {&source, 1}, s.attrs);
  }
  set_grad_enabled(before);
  return source;
}

Tracer::~Tracer() {
  if (running_) stop();
}

Tracer* Tracer::active() { return current; }

Tracer* Tracer::exchange_active(Tracer* tracer) { return std::exchange(current, tracer); }

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
  nodes_.push_back({&op, std::move(operands), {id}, std::move(attrs), {}, no_grad});
  return id;
}

bool Tracer::has_gradient(std::span<const int> values) const {
  return std::any_of(values.begin(), values.end(),
                     [&](int v) { return v >= 0 && values_[v].requires_grad; });
}

int Tracer::add_input(const Tensor& t) {
  if (!t->wrapped) return value_of(t);
  const auto [id, fresh] = number_inputs_.emplace(t.get());
  if (fresh) {
    keep_.push_back(t);
    id = new_value({TraceValue::Kind::input, meta_of(t), true, false, t});
    inputs_.push_back(id);
  }
  return id;
}

int Tracer::input_of(const Tensor& t) {
  const auto [cell, fresh] = cells_.emplace(t->storage.get());
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
  const std::optional<Place> place = place_among(cell.root, t);
  if (!place) {
    throw Error(ErrorKind::capture,
                "capture: a view of an input whose elements share memory, with strides " +
                    show(cell.root.strides()) +
                    ", is read or written after a change in place; clone() the input");
  }
  return {Attr(t.sizes()), Attr(place->strides), Attr(place->offset)};
}

// Whether the result of a view op shares memory with its operand: that of a reshape may be a copy.
bool Tracer::makes_view(const OpCall& call, const TensorMeta& meta) {
  if (!call.op->view) return false;
  if (call.op->id != op::reshape) return true;
  const Tensor& x = call.operand(0);
  if (Cell* cell = cells_.find(x->storage.get())) cell->reshaped = true;
  return can_view(x, meta.sizes);
}

Tensor Tracer::source_of(const Tensor& t, std::vector<ViewStep>& steps) const {
  Tensor source = t;
  for (const View* at = views_.find(t.get()); at; at = views_.find(source.get())) {
    steps.push_back(at->step);
    source = at->source;
  }
  std::reverse(steps.begin(), steps.end());
  return source;
}

void Tracer::note_layout(const Tensor& t) {
  std::vector<ViewStep> steps;
  const Tensor source = source_of(t, steps);
  if (!source.is_traced() && source->storage) layouts_.push_back(source);
}

std::vector<Tensor> Tracer::fixed_layouts() const {
  std::vector<Tensor> out = layouts_;
  for (const auto& [storage, cell] : cells_) {
    if (cell.reshaped && cell.version && !cell.root.is_traced()) out.push_back(cell.root);
  }
  return out;
}

int Tracer::value_of(const Tensor& t) {
  if (!t) return -1;
  if (!t->storage) {
    if (const int* known = number_inputs_.find(t.get())) return *known;
    return new_value({TraceValue::Kind::number, meta_of(t), t->wrapped, false, t});
  }
  if (is_shared_with_others(t)) return snapshot(t);
  const State* found = states_.find(t.get());
  Cell* at = cells_.find(t->storage.get());
  if (found && at->version == found->version) return found->value;
  int id = -1;
  if (!found) {
    if (t.is_traced() && !at) {
      throw Error(ErrorKind::capture,
                  "capture: a tensor of another capture has no value here; return it from that "
                  "function instead");
    }
    id = t.is_traced() ? -1 : input_of(t);
    at = cells_.find(t->storage.get());
    if (!t.is_traced() && id < 0) aliases_.push_back({t, at->root});
    keep_.push_back(t);
  }
  Cell& cell = *at;
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

// One region runs on one device. Numbers and random states of the CPU go along with any.
void Tracer::place(const TensorMeta& meta) {
  const bool is_state = meta.dtype == DType::int64_ && meta.sizes == Sizes{2};
  if (meta.device.is_cpu() && (meta.sizes.empty() || is_state)) return;
  if (!device_) device_ = meta.device;
  if (*device_ == meta.device) return;
  throw Error(ErrorKind::capture, "capture: tensors of one region lie on " + show(*device_) +
                                      " and " + show(meta.device) +
                                      "; move them to one device, or compile two functions");
}

Device Tracer::device() const {
  if (device_) return *device_;
  for (int i : inputs_) {
    if (values_[i].meta.device.is_cuda()) return values_[i].meta.device;
  }
  return kCpu;
}

void Tracer::record(const OpCall& call, const TensorMeta* metas, Tensor* results) {
  TraceNode node{call.op, {}, {}, {call.attrs.begin(), call.attrs.end()}, {}, !grad_enabled()};
  const Device device = device_of(call);
  for (const Tensor& t : call.operands) {
    if (t) place(meta_of(t));
    node.operands.push_back(value_of(t));
  }
  for (int i = 0; i < call.op->results; ++i) place({metas[i].dtype, metas[i].sizes, device});
  bool grad = grad_enabled() && is_differentiable(*call.op) && has_gradient(node.operands);
  node.saves = grad && saves_values(call);
  std::swap(node.site, call_site());
  const bool view = makes_view(call, metas[0]);
  for (int i = 0; i < call.op->results; ++i) {
    results[i] = view ? call.op->view_fn(call, metas[i])
                      : traced_tensor(metas[i].sizes, metas[i].dtype, device);
    results[i]->requires_grad = grad && is_float(metas[i].dtype);
    int id = new_value(
        {TraceValue::Kind::result, meta_of(results[i]), false, results[i]->requires_grad});
    node.results.push_back(id);
    Cell& cell = cells_[results[i]->storage.get()];
    if (!view) cell = {results[i], -1, id};
    if (view) views_[results[i].get()] = {call.operand(0), {call.op, node.attrs, node.no_grad}};
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
  if (is_shared_with_others(target)) {
    throw Error(ErrorKind::capture, "capture: memory that other code sees is changed");
  }
  value_of(target);  // an input is one from here on
  Cell& cell = cells_[target->storage.get()];
  if (cell.shared) {
    throw Error(ErrorKind::capture,
                "capture: two inputs are different views of one storage that the region changes in "
                "place; clone() one of them");
  }
  const bool whole = same_geometry(cell.root, target);
  const bool tied = is_tied(cell.root, target);
  const bool recorded = grad_enabled() && tied;
  if (grad_enabled() && !tied && values_[value].requires_grad) {
    throw Error(ErrorKind::capture,
                "capture: a detached tensor, which shares memory with another one, is changed to "
                "what has a gradient; clone() it after detach()");
  }
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

bool Tracer::is_given(const Tensor& t) const {
  if (t.is_traced()) return false;
  if (!states_.contains(t.get())) return true;
  return std::any_of(inputs_.begin(), inputs_.end(),
                     [&](int i) { return values_[i].tensor.same(t); });
}

std::vector<TraceWrite> Tracer::writes() const {
  std::vector<TraceWrite> out;
  for (int i : inputs_) {
    const Tensor& t = values_[i].tensor;
    if (!t->storage) continue;
    const Cell& cell = *cells_.find(t->storage.get());
    if (cell.input == i && cell.version > 0) out.push_back({i, cell.value, cell.recorded});
  }
  return out;
}

bool Tracer::requires_grad(const Tensor& t) {
  const Cell* at = t->storage ? cells_.find(t->storage.get()) : nullptr;
  if (!at || !at->version) return t->requires_grad;
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
