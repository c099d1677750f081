// Which value a tensor shows of its storage, and changes in place: new values of the storage.
#include "autograd/view.hpp"
#include "core/place.hpp"
#include "dispatch/op_table.hpp"
#include "ops.hpp"
#include "trace/tracer.hpp"

namespace ostinato {
namespace {

bool same_geometry(const TensorImpl* a, const Tensor& b) {
  return a->offset == b->offset && a->sizes == b.sizes() && a->strides == b.strides();
}

}  // namespace

bool is_tied(const TensorImpl* root, const Tensor& t) {
  return t.get() == root || (t->base && !t->unrecorded);
}

// A tensor that can be computed from the value of its storage's root.
bool Tracer::covers(const Cell& cell, const Tensor& t) const {
  const TensorImpl* root = cell.root;
  if (same_geometry(root, t)) return root->dtype == t.dtype();
  if (!root->contiguous || root->dtype != t.dtype()) return false;
  int64_t low = t->offset - root->offset, high = low;
  for (int i = 0; i < t.ndim(); ++i) {
    int64_t reach = (t.sizes()[i] - 1) * t.strides()[i];
    (reach < 0 ? low : high) += reach;
  }
  return t.numel() == 0 || (low >= 0 && high < root->numel);
}

std::array<Attr, 3> Tracer::geometry(const Cell& cell, const Tensor& t) const {
  const std::optional<Place> place = place_among(Tensor(cell.root), t);
  if (!place) {
    throw Error(ErrorKind::capture,
                "capture: a view of an input whose elements share memory, with strides " +
                    show(cell.root->strides) +
                    ", is read or written after a change in place; clone() the input");
  }
  return {Attr(t.sizes()), Attr(place->strides), Attr(place->offset)};
}

// What `t` shows of the value of its storage now.
int Tracer::shown(const Cell& cell, const Tensor& t) {
  int id = cell.value;
  if (!same_geometry(cell.root, t)) {
    id = emit(op_info(op::as_strided), {&cell.value, 1}, geometry(cell, t), meta_of(t));
  }
  if (!trace_->values[id].requires_grad || is_tied(cell.root, t)) return id;
  if (t->unrecorded && grad_enabled()) refuse_unrecorded_view();
  return emit(op_info(op::detach), {&id, 1}, {}, meta_of(t));
}

void Tracer::record_inplace(const OpCall& call, const TensorMeta& meta) {
  Tensor self = call.operand(0);
  Tensor result;
  expect_writable(self);
  record(call, &meta, &result);
  write_to(self, result);
}

void Tracer::write_to(const Tensor& target, const Tensor& source) {
  int id = value_of(source);
  if (source.dtype() != target.dtype()) {
    const Attr dtype[] = {Attr(target.dtype())};
    id = emit(op_info(op::to), {&id, 1}, dtype, meta_of(target), !grad_enabled());
  }
  write(target, id);
}

void Tracer::expect_writable(const Tensor& t) {
  const bool is_seen =
      following_ && !t.is_traced() && t->storage && t->storage->is_shared_with_others();
  if (is_seen && !is_changed(t)) {
    throw Error(ErrorKind::capture, "capture: memory that other code sees is changed");
  }
  value_of(t);  // an input is one from here on
  const Cell& cell = *cell_of(t->storage.get());
  if (cell.shared) {
    throw Error(ErrorKind::capture,
                "capture: two inputs are different views of one storage that the region changes in "
                "place; clone() one of them");
  }
  if (!same_geometry(cell.root, t)) geometry(cell, t);
}

void Tracer::write(const Tensor& target, int value) {
  expect_writable(target);
  Cell& cell = *cell_of(target->storage.get());
  const bool whole = same_geometry(cell.root, target);
  const bool tied = is_tied(cell.root, target);
  const bool recorded = grad_enabled() && tied;
  if (grad_enabled() && !tied && values()[value].requires_grad) {
    throw Error(ErrorKind::capture,
                "capture: a detached tensor, which shares memory with another one, is changed to "
                "what has a gradient; clone() it after detach()");
  }
  int next = value;
  if (!whole) {
    const int pair[] = {cell.value, value};
    next = emit(op_info(op::as_strided_scatter), pair, geometry(cell, target),
                meta_of(Tensor(cell.root)), !recorded);
  }
  // A gradient passes by a change that is not recorded.
  const bool passes = !recorded && values()[cell.value].requires_grad;
  if (passes) {
    const int pair[] = {cell.value, next};
    next = emit(op_info(op::changed), pair, {}, meta_of(Tensor(cell.root)));
  }
  cell.value = next;
  cell.recorded |= recorded && values()[next].requires_grad;
  ++cell.version;
  set_mark(target.get(), value, passes ? cell.version - 1 : cell.version);
  set_mark(cell.root, next, cell.version);
}

}  // namespace ostinato
