#include "trace/tracer.hpp"

#include <algorithm>
#include <atomic>

#include "autograd/view.hpp"
#include "cpu/copy.hpp"
#include "ops.hpp"

namespace ostinato {
namespace {

// One word, so that the static model is safe in a library that is opened at run time.
__attribute__((tls_model("initial-exec"))) thread_local Tracer* current = nullptr;
std::atomic<uint64_t> captures{0};
constexpr size_t kFewMade = 16;

[[noreturn]] void refuse_devices(Device one, Device other) {
  throw Error(ErrorKind::capture, "capture: tensors of one region lie on " + show(one) + " and " +
                                      show(other) +
                                      "; move them to one device, or compile two functions");
}

}  // namespace

Tensor apply_views(Tensor source, std::span<const ViewStep> steps) {
  const bool before = grad_enabled();
  for (const ViewStep& s : steps) {
    const GradMode mode(before && !s.no_grad);
    source = call_op(*s.op, {&source, 1}, s.attrs);
  }
  return source;
}

Tracer::Tracer(bool following)
    : number_(++captures), trace_(Trace::take()), most_made_(kFewMade), following_(following) {}

Tracer::Tracer(Follower* follower) : Tracer(true) { follower_ = follower; }

Tracer::~Tracer() {
  if (running_) stop();
  Trace::give_back(std::move(trace_));
}

void Tracer::renew() {
  stop();
  number_ = ++captures;
  Trace::give_back(std::move(trace_));
  trace_ = Trace::take();
  inputs_.clear();
  own_leaves_.clear();
  aliases_.clear();
  layouts_.clear();
  grads_.clear();
  spared_.clear();
  most_made_ = kFewMade;
  device_.reset();
  expect(nullptr);
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

TraceMark* Tracer::mark_of(TensorImpl* t) {
  return t->mark.tracer == number_ ? &t->mark : trace_->given.find(t);
}

TraceCell* Tracer::cell_of(Storage* s) {
  if (s->mark().tracer == number_) return &trace_->cells[s->mark().place];
  const int* place = trace_->given_cells.find(s);
  return place ? &trace_->cells[*place] : nullptr;
}

// That of a storage from outside.
TraceCell& Tracer::new_cell(const Tensor& t) {
  trace_->given_cells[t->storage.get()] = static_cast<int>(trace_->cells.size());
  return trace_->cells.emplace_back(TraceCell{t.get()});
}

void Tracer::set_mark(TensorImpl* t, int value, int version) {
  TraceMark& mark = t->mark.tracer == number_ ? t->mark : trace_->given[t];
  mark = {number_, value, version};
}

int Tracer::emit(const OpInfo& op, std::span<const int> operands, std::span<const Attr> attrs,
                 TensorMeta meta, bool no_grad) {
  const bool grad = !no_grad && is_differentiable(op) && has_gradient(operands);
  const int id = trace_->add_value({TraceValue::Kind::result, std::move(meta), false, grad});
  trace_->add_result(trace_->add_node(&op, operands, attrs, {}, no_grad, grad), id);
  return id;
}

bool Tracer::has_gradient(std::span<const int> values) const {
  return std::any_of(values.begin(), values.end(),
                     [&](int v) { return v >= 0 && trace_->values[v].requires_grad; });
}

int Tracer::add_input(const Tensor& t) {
  if (!t->wrapped) return value_of(t);
  const auto [id, fresh] = trace_->number_inputs.emplace(t.get());
  if (fresh) {
    trace_->kept.push_back(t);
    id = trace_->add_value({TraceValue::Kind::input, meta_of(t), true, false, t});
    inputs_.push_back(id);
  }
  return id;
}

int Tracer::input_of(const Tensor& t) {
  Cell* known = cell_of(t->storage.get());
  Cell& cell = known ? *known : new_cell(t);
  if (known) {
    if (covers(cell, t)) return -1;
    cell.shared = true;
    if (cell.version) {
      throw Error(ErrorKind::capture,
                  "capture: a tensor overlaps one that the region changes in place, in a way that "
                  "cannot be captured yet; clone() one of them");
    }
  }
  const int id =
      trace_->add_value({TraceValue::Kind::input, meta_of(t), false, t->requires_grad, t});
  inputs_.push_back(id);
  if (!known) cell.input = cell.value = id;
  return id;
}

// Whether the result of a view op shares memory with its operand: that of a reshape may be a copy.
bool Tracer::makes_view(const OpCall& call, const TensorMeta& meta) {
  if (!call.op->view) return false;
  const Tensor& x = call.operand(0);
  if (!x->storage) return false;
  if (call.op->id != op::reshape) return true;
  if (Cell* cell = cell_of(x->storage.get())) cell->reshaped = true;
  return can_view(x, meta.sizes);
}

Tensor Tracer::source_of(const Tensor& t, std::vector<ViewStep>& steps) const {
  Tensor source = t;
  const auto& views = trace_->views;
  for (const TraceView* at = views.find(t.get()); at; at = views.find(source.get())) {
    const TraceNode& node = trace_->nodes[at->node];
    const std::span<const Attr> attrs = trace_->attrs(node);
    steps.push_back({node.op, {attrs.begin(), attrs.end()}, node.no_grad});
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

int Tracer::value_of(const Tensor& t) {
  if (!t) return -1;
  if (!t->storage) return value_of_number(t);
  if (is_shared_with_others(t)) return snapshot(t);
  const TraceMark* found = mark_of(t.get());
  Cell* at = cell_of(t->storage.get());
  if (found && at->version == found->version) return found->place;
  int id = -1;
  if (!found) {
    if (t.is_traced() && !at) {
      throw Error(ErrorKind::capture,
                  "capture: a tensor of another capture has no value here; return it from that "
                  "function instead");
    }
    id = t.is_traced() ? -1 : input_of(t);
    at = cell_of(t->storage.get());
    if (!t.is_traced() && id < 0) aliases_.push_back({t, Tensor(at->root)});
    trace_->kept.push_back(t);
  }
  if (id < 0) id = shown(*at, t);
  set_mark(t.get(), id, at->version);
  return id;
}

int Tracer::value_of_number(const Tensor& t) {
  if (const int* known = trace_->number_inputs.find(t.get())) return *known;
  return trace_->add_value({TraceValue::Kind::number, meta_of(t), t->wrapped, false, t});
}

// One region runs on one device. Numbers and random states of the CPU go along with any.
void Tracer::place(DType dtype, const Sizes& sizes, Device device) {
  if (device_ && *device_ == device) return;
  const bool is_state = dtype == DType::int64_ && sizes == Sizes{2};
  if (device.is_cpu() && (sizes.empty() || is_state)) return;
  if (!device_) {
    device_ = device;
    return;
  }
  refuse_devices(*device_, device);
}

Device Tracer::device() const {
  if (device_) return *device_;
  for (int i : inputs_) {
    if (values()[i].meta.device.is_cuda()) return values()[i].meta.device;
  }
  return kCpu;
}

void Tracer::record(const OpCall& call, const TensorMeta* metas, Tensor* results) {
  const Device device = device_of(call);
  SmallVector<int, 8> operands;
  for (const Tensor& t : call.operands) {
    if (t) place(t.dtype(), t.sizes(), t.device());
    operands.push_back(value_of(t));
  }
  for (int i = 0; i < call.op->results; ++i) place(metas[i].dtype, metas[i].sizes, device);
  // Also what is as small as a number: the host would have to wait for it.
  if (device_ && device_->is_cuda() && device.is_cpu() && call.op->id == op::to_device) {
    const Device from = call.operand(0).device();
    if (from.is_cuda()) refuse_devices(from, device);
  }
  const bool grad = grad_enabled() && is_differentiable(*call.op) && has_gradient(operands);
  const bool view = makes_view(call, metas[0]);
  TraceNode& node =
      trace_->add_node(call.op, operands, call.attrs, call_site(), !grad_enabled(), grad);
  node.saves = grad && saves_values(call);
  for (int i = 0; i < call.op->results; ++i) {
    Tensor& made = results[i];
    made = view ? call.op->view_fn(call, metas[i])
                : traced_tensor(metas[i].sizes, metas[i].dtype, device);
    made->requires_grad = grad && is_float(metas[i].dtype);
    const int id = trace_->add_value({TraceValue::Kind::result,
                                      {made.dtype(), metas[i].sizes, device},
                                      false,
                                      made->requires_grad});
    trace_->add_result(node, id);
    add_made(made, id, view);
    if (!view) continue;
    trace_->views[made.get()] = {call.operand(0), static_cast<int>(trace_->nodes.size()) - 1};
    if (call.op->id != op::detach) note_view(made, call.operand(0));
  }
}

void Tracer::add_made(const Tensor& t, int value, bool view) {
  Trace& trace = *trace_;
  if (!view) {
    t->storage->mark() = {number_, static_cast<int>(trace.cells.size())};
    trace.cells.push_back({t.get(), -1, value});
  }
  const Cell* cell = cell_of(t->storage.get());
  t->mark = {number_, value, (cell ? *cell : new_cell(t)).version};
  if (trace.made.size() >= most_made_) drop_unused();
  trace.made.push_back({t, value, view});
}

// Tensors that nobody else has will not be asked for. Their memory serves the next ones, so that
// a long trace stays in the processor's caches.
void Tracer::drop_unused() {
  std::erase_if(trace_->made,
                [](const TraceMade& m) { return !m.view && m.tensor->use_count() == 1; });
  most_made_ = std::max(kFewMade, 2 * trace_->made.size());
}

bool Tracer::is_given(const Tensor& t) const {
  if (t.is_traced()) return false;
  if (!mark_of(t.get())) return true;
  return std::any_of(inputs_.begin(), inputs_.end(),
                     [&](int i) { return values()[i].tensor.same(t); });
}

bool Tracer::requires_grad(const Tensor& t) {
  const Cell* at = t->storage ? cell_of(t->storage.get()) : nullptr;
  if (!at || !at->version) return t->requires_grad;
  return values()[value_of(t)].requires_grad;
}

bool requires_grad(const Tensor& t) {
  return current ? current->requires_grad(t) : t->requires_grad || follows_base(t);
}

void refuse_unmade() {
  throw Error(ErrorKind::capture,
              "capture: this tensor has no value: the capture that made it ended with an error, or "
              "goes on in another thread; call the function again, or return the tensor before "
              "other threads take it");
}

bool is_leaf(const Tensor& t) {
  if (t->autograd && t->autograd->node) return false;
  if (!t->requires_grad) return !requires_grad(t);
  return current ? current->is_given(t) : !t.is_traced();
}

}  // namespace ostinato
