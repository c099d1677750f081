#include "bindings/deliver.hpp"

#include <unordered_map>

namespace ostinato::python {
namespace {

void become(const Tensor& t, const Tensor& value) {
  t->alias(*value.get());
  t->base = value->base;
  t->seen = value->seen;
  t->unrecorded = value->unrecorded;
  note_tensor_change();
  if (value->autograd && value->autograd->node) {
    attach(t, value->autograd->node, value->autograd->index);
  }
}

}  // namespace

void deliver(const Tracer& tracer, std::span<const Tensor> held, std::span<const Tensor> values) {
  const std::vector<Tensor> leaves = tracer.changed_leaves();
  bool any_views = false;
  for (size_t i = 0; i < held.size(); ++i) {
    if (!values[i]) continue;
    become(held[i], values[i]);
    any_views |= static_cast<bool>(held[i]->base);
  }
  if (!any_views && leaves.empty()) return;
  std::unordered_map<const TensorImpl*, Tensor> names;
  for (size_t i = 0; i < held.size(); ++i) {
    if (values[i]) names.try_emplace(values[i].get(), held[i]);
  }
  for (const Tensor& t : held) {
    const auto base = names.find(t->base.get());
    if (base != names.end()) t->base = Ref<TensorImpl>(base->second.get());
  }
  for (const Tensor& leaf : leaves) {
    Tensor& grad = autograd_state(leaf).grad;
    const auto held_one = names.find(grad.get());
    if (held_one != names.end()) grad = held_one->second;
  }
}

}  // namespace ostinato::python
