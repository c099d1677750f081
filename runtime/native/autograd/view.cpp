#include "autograd/view.hpp"

#include "core/place.hpp"
#include "dispatch/shape_rules.hpp"
#include "ops.hpp"
#include "trace/tracer.hpp"

namespace ostinato {
namespace {

Tensor copy_of(const Tensor& t) {
  Tensor copy = empty(t.sizes(), t.dtype(), t.device());
  copy_into(copy, t);
  return copy;
}

// `other` with the place of `t` on the tape.
Tensor in_place_of(const Tensor& t, Tensor other) {
  other->requires_grad = t->requires_grad;
  if (t->autograd && t->autograd->node) {
    attach(other, t->autograd->node, t->autograd->index);
  }
  return other;
}

Tensor base_of(const Tensor& view) {
  const bool shared = view->base && view->base->storage.get() == view->storage.get();
  return shared ? Tensor(view->base) : Tensor();
}

// The attributes of `as_strided` that show `view` in its base.
std::vector<Attr> place_in(const Tensor& base, const Tensor& view) {
  const std::optional<Place> place = place_among(base, view);
  if (!place) {
    throw Error(ErrorKind::gradient,
                "in-place change: a view of a tensor whose elements share memory, with shape " +
                    show(base.sizes()) + " and strides " + show(base.strides()) +
                    ", has no place on the tape; call contiguous() before taking the view");
  }
  return {Attr(view.sizes()), Attr(place->strides), Attr(place->offset)};
}

// What a recorded op saved of the memory of `self` is kept as it was.
void keep_saved(const Tensor& result, const Tensor& self) {
  if (!result->autograd || !result->autograd->node) return;
  for (Saved& s : result->autograd->node->saved) {
    if (!s.value->storage || s.value->storage.get() != self->storage.get()) continue;
    s.value = copy_of(s.value);
    s.version = s.value->storage->version();
  }
}

// The base's value is the old one with the elements of `view`, or all, replaced by `value`.
void rebase(const Tensor& base, const Tensor& view, const Tensor& value) {
  const OpInfo& op = op_info(op::as_strided_scatter);
  const Tensor operands[] = {in_place_of(base, detached(base)), value};
  const std::vector<Attr> attrs = place_in(base, view);
  Tensor changed = base;
  if (value->autograd && value->autograd->node) {
    call_site() = copy_of(value->autograd->node->site);
  }
  record({&op, operands, attrs}, {&changed, 1});
  note_tensor_change();
}

}  // namespace

void note_view(const Tensor& view, const Tensor& source) {
  if (!is_float(view.dtype()) || view->storage.get() != source->storage.get()) return;
  Tensor base = base_of(source);
  view->base = Ref<TensorImpl>((base ? base : source).get());
  view->seen = view->storage->version();
  view->unrecorded = !grad_enabled() || source->unrecorded;
}

void refuse_unrecorded_view() {
  throw Error(ErrorKind::gradient,
              "in-place change: a view was made under no_grad(), and the tensor that it shows was "
              "changed since, which leaves open whether the view has a gradient; make the view "
              "where gradients are recorded, or detach() it");
}

void refresh(const Tensor& view) {
  if (!follows_base(view)) return;
  if (view->requires_grad && is_leaf(view)) return;
  if (view->unrecorded) refuse_unrecorded_view();
  const Tensor base(view->base);
  const std::vector<Attr> attrs = place_in(base, view);
  Tensor shown = view;
  record({&op_info(op::as_strided), {&base, 1}, attrs}, {&shown, 1});
  view->seen = view->storage->version();
  note_tensor_change();
}

void check_recorded_change(const char* op, const Tensor& self) {
  const std::string name = std::string(op) + "_: ";
  const Tensor base = base_of(self);
  if (base && self->unrecorded) {
    throw Error(ErrorKind::gradient,
                name +
                    "a view that was made under no_grad() is changed where gradients are "
                    "recorded, which leaves open whether the change has one; do both under "
                    "no_grad(), or neither");
  }
  refresh(self);
  if (!requires_grad(self)) return;
  if (base && is_leaf(base) && base->requires_grad) {
    throw Error(ErrorKind::gradient,
                name +
                    "a view of a leaf that requires grad cannot be changed in place; do it "
                    "under no_grad()");
  }
  if (is_leaf(self)) {
    throw Error(ErrorKind::gradient,
                name +
                    "a leaf that requires grad cannot be changed in place; do it under "
                    "no_grad()");
  }
}

void change_recorded(const OpCall& call) {
  const Tensor self = call.operand(0);
  const Tensor base = base_of(self);
  std::vector<Tensor> given(call.operands.begin(), call.operands.end());
  // The parts of a composite save what they like: they get a copy of the old value.
  const bool parts = call.op->kind == OpKind::composite;
  given[0] = in_place_of(self, parts ? copy_of(self) : detached(self));
  Tensor result;
  call_op(*call.op, given, call.attrs, &result);
  if (result.dtype() != self.dtype()) {
    const Attr dtype[] = {Attr(self.dtype())};
    result = call_op(op_info(op::to), {&result, 1}, dtype);
  }
  keep_saved(result, self);
  copy_into(self, result);
  if (base) rebase(base, self, result);
  if (result->requires_grad) {
    attach(self, result->autograd->node, result->autograd->index);
    note_tensor_change();
    self->seen = self->storage->version() + 1;  // as it is once the caller noted the change
  } else if (!base) {
    rebase(self, self, result);  // the old value's gradient is zero
  }
}

}  // namespace ostinato
