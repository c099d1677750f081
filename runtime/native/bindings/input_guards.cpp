#include "bindings/input_guards.hpp"

#include <algorithm>

#include "bindings/python.hpp"
#include "trace/tracer.hpp"

namespace nb = nanobind;

namespace ostinato::python {
InputGuards::InputGuards(nb::handle region) {
  for (nb::handle a : nb::object(region.attr("aliases"))) {
    const bool fixed = TensorSource(a[0]).is_fixed() && TensorSource(a[1]).is_fixed();
    (fixed ? fixed_shown_ : shown_)
        .push_back({TensorSource(a[0]), TensorSource(a[1]), nb::cast<int64_t>(a[2]),
                    sizes_from(a[3].ptr()), sizes_from(a[4].ptr()), nb::cast<bool>(a[5])});
  }
  for (nb::handle pair : nb::object(region.attr("identical"))) {
    identical_.push_back({TensorSource(pair[0]), TensorSource(pair[1])});
  }
  for (nb::handle pair : nb::object(region.attr("layouts"))) {
    layouts_.push_back({TensorSource(pair[0]), sizes_from(pair[1].ptr())});
  }
  const nb::object changed(region.attr("changed"));
  const nb::object sources(region.attr("sources"));
  int input = 0;
  for (nb::handle s : sources) {
    const int at = input++;
    if (nb::cast<std::string>(s[0]) == "number") continue;  // has no memory
    const TensorSource source(s);
    if (nb::len(changed)) {
      if (!source.is_fixed()) passing_.push_back(lying_.size());
      lying_.push_back({source, nb::cast<bool>(changed.attr("__contains__")(at)), {}});
    }
    if (!source.is_fixed()) continue;
    const Tensor t(source.find({}));
    fixed_.push_back({t, t.dtype(), t.sizes(), t.device(), t->requires_grad});
  }
}

bool InputGuards::Fixed::holds() const {
  return tensor.dtype() == dtype && tensor->requires_grad == requires_grad &&
         tensor.sizes() == sizes && tensor.device() == device;
}

bool InputGuards::Shown::holds(nb::handle leaves) const {
  const Tensor t(tensor.find(leaves)), r(root.find(leaves));
  return t && r && t->storage.get() == r->storage.get() && t->offset - r->offset == distance &&
         t.strides() == strides && r.strides() == root_strides && is_tied(r.get(), t) == tied;
}

bool InputGuards::fixed_ones_hold(nb::handle leaves) const {
  return std::all_of(fixed_.begin(), fixed_.end(), [](const Fixed& f) { return f.holds(); }) &&
         std::all_of(fixed_shown_.begin(), fixed_shown_.end(),
                     [&](const Shown& s) { return s.holds(leaves); });
}

bool InputGuards::hold(nb::handle leaves) {
  if (const uint64_t now = tensor_changes(); now != held_at_) {
    if (!fixed_ones_hold(leaves)) return false;
    held_at_ = now;
  }
  return std::all_of(shown_.begin(), shown_.end(),
                     [&](const Shown& s) { return s.holds(leaves); }) &&
         std::all_of(
             identical_.begin(), identical_.end(),
             [&](const Identical& i) { return i.tensor.find(leaves) == i.other.find(leaves); }) &&
         std::all_of(layouts_.begin(), layouts_.end(), [&](const Layout& l) {
           const TensorImpl* t = l.tensor.find(leaves);
           return t && t->strides == l.strides;
         });
}

InputGuards::Bytes InputGuards::bytes_of(const TensorImpl* t) {
  if (!t || !t->storage || t->numel == 0) return {};
  const auto width = static_cast<int64_t>(size_of(t->dtype));
  int64_t low = t->offset, high = t->offset + 1;
  if (t->contiguous) {
    high = low + t->numel;
  } else {
    for (int i = 0; i < t->ndim(); ++i) {
      const int64_t reach = (t->sizes[i] - 1) * t->strides[i];
      (reach < 0 ? low : high) += reach;
    }
  }
  const std::byte* start = t->storage->data();
  return {start + low * width, start + high * width};
}

bool InputGuards::meets_another(size_t i) const {
  const Lying& a = lying_[i];
  for (size_t j = 0; j < lying_.size(); ++j) {
    const Lying& b = lying_[j];
    const bool meet = a.bytes.begin < b.bytes.end && b.bytes.begin < a.bytes.end;
    if (meet && j != i && (a.changed || b.changed)) return true;
  }
  return false;
}

void InputGuards::look_at(size_t i, nb::handle leaves) {
  const Bytes now = bytes_of(lying_[i].tensor.find(leaves));
  if (now == lying_[i].bytes) return;
  lying_[i].bytes = now;
  moved_.push_back(i);
}

bool InputGuards::are_apart(nb::handle leaves) {
  moved_.clear();
  const uint64_t now = tensor_changes();
  if (now == apart_at_) {
    for (size_t i : passing_) look_at(i, leaves);
  } else {
    for (size_t i = 0; i < lying_.size(); ++i) look_at(i, leaves);
  }
  for (size_t i : moved_) {
    if (!meets_another(i)) continue;
    for (size_t m : moved_) lying_[m].bytes = {};  // to be looked at again
    apart_at_ = 0;
    return false;
  }
  apart_at_ = now;
  return true;
}

}  // namespace ostinato::python
