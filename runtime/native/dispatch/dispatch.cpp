#include <algorithm>
#include <optional>

#include "autograd/anomaly.hpp"
#include "autograd/view.hpp"
#include "cuda/context.hpp"
#include "cuda/copy.hpp"
#include "dispatch/autocast.hpp"
#include "dispatch/body.hpp"
#include "dispatch/op_table.hpp"
#include "dispatch/shape_rules.hpp"
#include "ops.hpp"
#include "program/derived.hpp"
#include "trace/leave.hpp"

namespace ostinato {
namespace {

// Runs the body of a composite that no kernel claims.
void run_body(const OpCall& call, const TensorMeta* metas, Tensor* results, bool record) {
  std::vector<Pattern> given, made;
  std::vector<Sizes> operands, out;
  for (const Tensor& t : call.operands) {
    given.push_back(Pattern(t));
    operands.push_back(t ? t.sizes() : Sizes{});
  }
  for (int i = 0; i < call.op->results; ++i) {
    made.push_back(Pattern(metas[i].sizes, metas[i].dtype));
    out.push_back(metas[i].sizes);
  }
  const ProgramKey key{ProgramKind::forward, call.op, given, made, call.attrs};
  const Program& p = find_program(key);
  CallShapes shapes{operands, out, call.attrs};
  run_program(p, call.operands, {&shapes, 1}, record, results);
}

void compute(const OpCall& call, const TensorMeta* metas, Tensor* results) {
  const OpInfo& op = *call.op;
  const Device device = device_of(call);
  const KernelFn kernel = kernel_on(op, device);
  for (const Tensor& t : call.operands) expect_value(t);
  if (op.view) {
    results[0] = op.view_fn(call, metas[0]);
    return;
  }
  if (op.kind != OpKind::pointwise && !kernel) {
    if (op.kind == OpKind::composite) return run_body(call, metas, results, false);
    if (device.is_cuda()) cuda::use_device(device.index);  // says so where there is none
    throw Error(ErrorKind::runtime, std::string(op.name) + ": no kernel is built for this op on " +
                                        show(device) + "; move its operands with .to(\"cpu\")");
  }
  for (int i = 0; i < op.results; ++i) results[i] = empty(metas[i].sizes, metas[i].dtype, device);
  std::span<Tensor> out(results, op.results);
  if (op.kind == OpKind::pointwise)
    run_pointwise_op(call, out);
  else
    kernel(call, out);
}

// A composite without a kernel and without a rule is recorded as its parts.
bool records_parts(const OpInfo& op) {
  return op.kind == OpKind::composite && !op.native && !op.has_rule;
}

// Whether operand `i` is placed where it is used: numbers, 0-d CPU tensors and random states.
bool goes_along(const OpCall& call, size_t i) {
  const Tensor& t = call.operands[i];
  if (!t || !t->storage) return true;
  if (!t.device().is_cpu()) return false;
  return t.ndim() == 0 || (t.numel() == 2 && call.op->takes_rng);
}

Tensor moved(const Tensor& t, Device to, bool non_blocking = false) {
  const Attr attrs[] = {Attr(show(to)), Attr(show(t.device())), Attr(non_blocking)};
  return call_op(op_info(op::to_device), {&t, 1}, attrs);
}

// Whether a CUDA kernel would read operand `t` from memory that lies on the CPU: pointwise ones
// take its value as a parameter, as all take numbers.
bool is_out_of_reach(const OpInfo& op, const Tensor& t) {
  return op.kind != OpKind::pointwise && t && t->storage && t.device().is_cpu() && t.ndim() == 0 &&
         !t->wrapped;
}

bool any_out_of_reach(const OpInfo& op, std::span<const Tensor> operands) {
  return op.kind != OpKind::pointwise &&
         std::any_of(operands.begin(), operands.end(),
                     [&](const Tensor& t) { return is_out_of_reach(op, t); });
}

// CPU tensors that go along with a CUDA device are moved by an op of their own where they want a
// gradient, so that it finds its way back, or where they are out of reach. False where there are
// none.
bool move_operands(const OpCall& call, std::vector<Tensor>& there) {
  if (call.op->device_attr >= 0) return false;
  const Device device = device_of(call);
  if (device.is_cpu()) return false;
  for (size_t i = 0; i < call.operands.size(); ++i) {
    const Tensor& t = call.operands[i];
    if (!t || t.device() == device) continue;
    if (!t->requires_grad && !is_out_of_reach(*call.op, t)) continue;
    if (there.empty()) there.assign(call.operands.begin(), call.operands.end());
    const InUse held(there);
    there[i] = moved(t, device);
  }
  return !there.empty();
}

// Whether `source` must be moved before it is written into `self`.
bool is_elsewhere(const Tensor& self, const Tensor& source) {
  if (!source || !source->storage || source.device() == self.device()) return false;
  return source.device().is_cuda() || source.ndim() != 0;
}

bool overlaps(const Tensor& a, const Tensor& b) {
  if (!a->storage || !b->storage || a->storage.get() != b->storage.get()) return false;
  return a->offset != b->offset || a.sizes() != b.sizes() || a.strides() != b.strides();
}

[[noreturn]] void fail(const OpInfo& op, ErrorKind kind, const std::string& text) {
  throw Error(kind, std::string(op.name) + "_: " + text);
}

void check_inplace(const OpCall& call, const TensorMeta& meta, bool grad) {
  const OpInfo& op = *call.op;
  const Tensor& self = call.operand(0);
  if (meta.sizes != self.sizes()) {
    fail(op, ErrorKind::shape,
         "the result has shape " + show(meta.sizes) + ", which does not fit " +
             "the tensor of shape " + show(self.sizes()) + "; use the form without the underscore");
  }
  if (category(meta.dtype) > category(self.dtype())) {
    fail(op, ErrorKind::dtype,
         "the result has dtype " + std::string(name_of(meta.dtype)) + ", which a tensor of " +
             std::string(name_of(self.dtype())) + " cannot hold; convert it with .to(...) first");
  }
  if (self->wrapped) fail(op, ErrorKind::type, "a number cannot be changed in place");
  if (device_of(call) != self.device()) {
    fail(op, ErrorKind::value,
         "the result lies on " + show(device_of(call)) + ", the tensor on " + show(self.device()) +
             "; move the operands to one device with .to(...)");
  }
  for (int i = 0; i < self.ndim(); ++i) {
    if (self.strides()[i] == 0 && self.sizes()[i] > 1) {
      fail(op, ErrorKind::value,
           "the tensor is expanded, so elements share memory; clone() it first");
    }
  }
  if (grad) check_recorded_change(op.name, self);
}

// Whether the running capture expects this call, and has noted it.
bool repeats(const OpCall& call, Tensor* results) {
  Tracer* const tracer = Tracer::active();
  if (!tracer || !tracer->expects()) return false;
  try {
    return tracer->repeat(call, results);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::capture) throw;
    return false;  // who records it meets the same, and leaves the region
  }
}

}  // namespace

Device device_of(const OpCall& call) {
  const int given = call.op->device_attr;
  if (given >= 0) return device_named(call.attr(given).as_string(), 0);
  Device found = kCpu;
  bool placed = false;
  for (size_t i = 0; i < call.operands.size(); ++i) {
    if (goes_along(call, i)) continue;
    const Tensor& t = call.operands[i];
    if (placed && t.device() != found) {
      throw Error(ErrorKind::value, std::string(call.op->name) + ": operands lie on " +
                                        show(found) + " and " + show(t.device()) +
                                        "; move them to one device with .to(...)");
    }
    found = t.device();
    placed = true;
  }
  return placed || !call.op->creates ? found : creation_device();
}

void run_body(const OpCall& call, std::span<Tensor> results) {
  TensorMeta metas[kMaxResults];
  Tensor made[kMaxResults];
  for (size_t i = 0; i < results.size(); ++i) metas[i] = {results[i].dtype(), results[i].sizes()};
  run_body(call, metas, made, false);
  for (size_t i = 0; i < results.size(); ++i) copy_into(results[i], made[i]);
}

void run_op(const OpInfo& op, std::span<const Tensor> operands, std::span<const Attr> attrs,
            Tensor* results) {
  OpCall call{&op, operands, attrs};
  TensorMeta metas[kMaxResults];
  op.infer(call, metas);
  std::vector<Tensor> there;
  if (any_out_of_reach(op, operands) && move_operands(call, there)) call.operands = there;
  compute(call, metas, results);
}

void call_op(const OpInfo& op, std::span<const Tensor> operands, std::span<const Attr> attrs,
             Tensor* results) {
  if (repeats({&op, operands, attrs}, results)) return;
  const std::span<const Tensor> given = operands;
  std::vector<Tensor> cast;
  if (autocast().is_on() && cast_operands(op, operands, cast)) operands = cast;
  OpCall call{&op, operands, attrs};
  TensorMeta metas[kMaxResults];
  op.infer(call, metas);
  const bool recorded = needs_grad(operands);
  std::vector<Tensor> there;
  const bool moves = recorded || any_out_of_reach(op, operands);
  if (moves && move_operands(call, there)) call.operands = there;
  if (Tracer* tracer = Tracer::active()) {
    if (is_in_region(call.operands, [&] { tracer->record(call, metas, results); })) return;
    const Pause now;
    return call_op(op, given, attrs, results);
  }
  if (recorded && records_parts(op)) return run_body(call, metas, results, true);
  std::optional<LookedAt> looked_at;
  if (looks_for_anomaly()) looked_at.emplace(call.operands);
  compute(call, metas, results);
  if (looked_at) looked_at->check_op(op, {results, static_cast<size_t>(op.results)});
  if (op.view && op.id != op::detach) note_view(results[0], call.operand(0));
  if (recorded) record(call, {results, op.results});
}

Tensor run_op(const OpInfo& op, std::span<const Tensor> operands, std::span<const Attr> attrs) {
  Tensor result;
  run_op(op, operands, attrs, &result);
  return result;
}

Tensor call_op(const OpInfo& op, std::span<const Tensor> operands, std::span<const Attr> attrs) {
  Tensor result;
  call_op(op, operands, attrs, &result);
  return result;
}

void call_op_into(const OpInfo& op, std::span<const Tensor> operands, std::span<const Attr> attrs,
                  std::span<const Tensor> targets) {
  OpCall call{&op, operands, attrs};
  TensorMeta metas[kMaxResults];
  op.infer(call, metas);
  std::vector<Tensor> results(op.results);
  if (Tracer* tracer = Tracer::active()) {
    const auto record = [&] {
      for (const Tensor& t : targets) tracer->expect_writable(t);
      tracer->record(call, metas, results.data());
      for (int i = 0; i < op.results; ++i) tracer->write_to(targets[i], results[i]);
    };
    if (is_in_region(operands, record)) return;
    const Pause now;
    return call_op_into(op, operands, attrs, targets);
  }
  const Device device = device_of(call);
  const KernelFn kernel = kernel_on(op, device);
  bool fits = kernel != nullptr;
  for (int i = 0; i < op.results; ++i) {
    fits &= targets[i].device() == device && targets[i].sizes() == metas[i].sizes &&
            targets[i].dtype() == metas[i].dtype;
  }
  if (fits) {
    for (int i = 0; i < op.results; ++i) results[i] = targets[i];
    kernel(call, results);
  } else {
    compute(call, metas, results.data());
    for (int i = 0; i < op.results; ++i) copy_into(targets[i], results[i]);
  }
  for (const Tensor& t : targets) t->storage->bump_version();
}

void call_copy(const Tensor& self, const Tensor& source, bool non_blocking) {
  const OpInfo& op = op_info(op::copy);
  const Tensor pair[] = {self, source};
  if (!is_elsewhere(self, source)) return call_op_inplace(op, pair, {});
  const bool grad = needs_grad(pair);
  if (grad || Tracer::active()) {
    const Tensor here[] = {self, moved(source, self.device(), non_blocking)};
    return call_op_inplace(op, here, {});
  }
  TensorMeta meta;
  op.infer({&op, pair, {}}, &meta);
  check_inplace({&op, {&self, 1}, {}}, meta, grad);
  cuda::copy_into(self, source, non_blocking);
  self->storage->bump_version();
}

void call_op_inplace(const OpInfo& op, std::span<const Tensor> operands,
                     std::span<const Attr> attrs) {
  OpCall call{&op, operands, attrs};
  TensorMeta metas[kMaxResults];
  op.infer(call, metas);
  Tensor self = operands[0];
  bool grad = needs_grad(operands);
  if (op.id == op::copy && is_elsewhere(self, operands[1])) {
    return call_copy(self, operands[1], false);
  }
  check_inplace(call, metas[0], grad);
  if (Tracer* tracer = Tracer::active()) {
    if (is_in_region(operands, [&] { tracer->record_inplace(call, metas[0]); })) return;
    const Pause now;
    return call_op_inplace(op, operands, attrs);
  }
  for (const Tensor& t : operands) expect_value(t);
  std::optional<LookedAt> looked_at;
  if (looks_for_anomaly()) looked_at.emplace(call.operands);
  if (grad) {
    change_recorded(call);
  } else {
    bool direct = op.kind == OpKind::pointwise;
    for (const Tensor& t : operands.subspan(1)) direct &= !t || !overlaps(self, t);
    if (direct) {
      run_pointwise_op(call, {&self, 1});
    } else {
      Tensor result;
      compute(call, metas, &result);
      copy_into(self, result);
    }
  }
  if (looked_at) looked_at->check_op(op, {&self, 1});
  if (self->storage) self->storage->bump_version();
}

}  // namespace ostinato
