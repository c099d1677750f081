#include "autograd/tape.hpp"
#include "dispatch/autocast.hpp"
#include "dispatch/dtype_rules.hpp"
#include "dispatch/op_table.hpp"
#include "dispatch/shape_rules.hpp"
#include "program/derived.hpp"
#include "trace/tracer.hpp"

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
  const Program& p = find_program({ProgramKind::forward, call.op, given, made, call.attrs});
  CallShapes shapes{operands, out, call.attrs};
  run_program(p, call.operands, {&shapes, 1}, record, results);
}

void compute(const OpCall& call, const TensorMeta* metas, Tensor* results) {
  const OpInfo& op = *call.op;
  if (op.view) {
    results[0] = op.view_fn(call, metas[0]);
    return;
  }
  if (op.kind != OpKind::pointwise && !op.kernel) {
    if (op.kind == OpKind::composite) return run_body(call, metas, results, false);
    throw Error(ErrorKind::runtime, std::string(op.name) + ": no kernel is built for this op");
  }
  for (int i = 0; i < op.results; ++i) results[i] = empty(metas[i].sizes, metas[i].dtype);
  std::span<Tensor> out(results, op.results);
  if (op.kind == OpKind::pointwise)
    run_pointwise_op(call, out);
  else
    op.kernel(call, out);
}

// A composite without a kernel and without a rule is recorded as its parts.
bool records_parts(const OpInfo& op) {
  return op.kind == OpKind::composite && !op.kernel && !op.has_rule;
}

bool overlaps(const Tensor& a, const Tensor& b) {
  if (!a->storage || !b->storage || a->storage.get() != b->storage.get()) return false;
  return a->offset != b->offset || a.sizes() != b.sizes() || a.strides() != b.strides();
}

[[noreturn]] void fail(const OpInfo& op, ErrorKind kind, const std::string& text) {
  throw Error(kind, std::string(op.name) + "_: " + text);
}

void check_inplace(const OpInfo& op, const Tensor& self, const TensorMeta& meta, bool grad) {
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
  for (int i = 0; i < self.ndim(); ++i) {
    if (self.strides()[i] == 0 && self.sizes()[i] > 1) {
      fail(op, ErrorKind::value,
           "the tensor is expanded, so elements share memory; clone() it first");
    }
  }
  if (grad && self->requires_grad && !(self->autograd && self->autograd->node)) {
    fail(op, ErrorKind::gradient,
         "a leaf that requires grad cannot be changed in place; "
         "do it under no_grad()");
  }
}

}  // namespace

DType dtype_rule::promote(const OpCall& call, std::initializer_list<int> which) {
  // By rank: numbers, 0-d tensors, tensors with axes. A lower rank counts where its category is
  // higher.
  int found[3] = {-1, -1, -1};
  auto meet = [&](const Tensor& t) {
    if (!t) return;
    int rank = t->wrapped ? 0 : t.ndim() == 0 ? 1 : 2;
    DType d = t->wrapped && is_float(t.dtype()) ? DType::float32_ : t.dtype();
    DType joined = found[rank] < 0 ? d : ostinato::promote(static_cast<DType>(found[rank]), d);
    found[rank] = static_cast<int>(joined);
  };
  if (which.size()) {
    for (int i : which) meet(call.operand(i));
  } else {
    for (const Tensor& t : call.operands) meet(t);
  }
  int best = -1;
  for (int rank : {2, 1, 0}) {
    if (found[rank] < 0) continue;
    if (best < 0 ||
        category(static_cast<DType>(found[rank])) > category(static_cast<DType>(best))) {
      best = found[rank];
    }
  }
  return static_cast<DType>(best);
}

void run_op(const OpInfo& op, std::span<const Tensor> operands, std::span<const Attr> attrs,
            Tensor* results) {
  OpCall call{&op, operands, attrs};
  TensorMeta metas[kMaxResults];
  op.infer(call, metas);
  compute(call, metas, results);
}

void call_op(const OpInfo& op, std::span<const Tensor> operands, std::span<const Attr> attrs,
             Tensor* results) {
  std::vector<Tensor> cast;
  if (autocast().on && cast_operands(op, operands, cast)) operands = cast;
  OpCall call{&op, operands, attrs};
  TensorMeta metas[kMaxResults];
  op.infer(call, metas);
  if (Tracer* tracer = Tracer::active()) return tracer->record(call, metas, results);
  bool recorded = needs_grad(operands);
  if (recorded && records_parts(op)) return run_body(call, metas, results, true);
  compute(call, metas, results);
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
    tracer->record(call, metas, results.data());
    for (int i = 0; i < op.results; ++i) tracer->write_to(targets[i], results[i]);
    return;
  }
  bool fits = op.kernel != nullptr;
  for (int i = 0; i < op.results; ++i) {
    fits &= targets[i].sizes() == metas[i].sizes && targets[i].dtype() == metas[i].dtype;
  }
  if (fits) {
    for (int i = 0; i < op.results; ++i) results[i] = targets[i];
    op.kernel(call, results);
  } else {
    compute(call, metas, results.data());
    for (int i = 0; i < op.results; ++i) copy_into(targets[i], results[i]);
  }
  for (const Tensor& t : targets) t->storage->bump_version();
}

void call_op_inplace(const OpInfo& op, std::span<const Tensor> operands,
                     std::span<const Attr> attrs) {
  OpCall call{&op, operands, attrs};
  TensorMeta metas[kMaxResults];
  op.infer(call, metas);
  Tensor self = operands[0];
  bool grad = needs_grad(operands);
  check_inplace(op, self, metas[0], grad);
  if (Tracer* tracer = Tracer::active()) return tracer->record_inplace(call, metas[0]);
  if (grad) {
    // The old value stays what it is for the tape; `self` becomes the result of the new node.
    Tensor old = detached(self);
    if (self->requires_grad) {
      old->requires_grad = true;
      autograd_state(old) = *self->autograd;
    }
    std::vector<Tensor> given(operands.begin(), operands.end());
    given[0] = old;
    Tensor result;
    call_op(op, given, attrs, &result);
    copy_into(self, result);
    if (result->requires_grad) {
      self->requires_grad = true;
      AutogradState& state = autograd_state(self);
      state.node = autograd_state(result).node;
      state.index = autograd_state(result).index;
    }
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
  if (self->storage) self->storage->bump_version();
}

}  // namespace ostinato
