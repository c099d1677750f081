// The end of a region whose function runs on: what it was given, what it owes, and what it did, as
// a number by which the same is known again.
#include <unordered_map>

#include "core/tensor.hpp"
#include "cuda/blas.hpp"
#include "dispatch/op_call.hpp"
#include "trace/leave.hpp"
#include "trace/tracer.hpp"

namespace ostinato {

bool Tracer::is_settled(const Tensor& t) const {
  return !t->storage || (!t.is_traced() && !is_changed(t));
}

bool Tracer::is_changed(const Tensor& t) const {
  const Cell* cell = cell_of(t->storage.get());
  return cell && cell->version;
}

std::vector<Tensor> Tracer::fixed_layouts() const {
  std::vector<Tensor> out = layouts_;
  for (const auto& [storage, place] : trace_->given_cells) {
    const Cell& cell = trace_->cells[place];
    if (cell.reshaped && cell.version) out.push_back(Tensor(cell.root));
  }
  return out;
}

std::vector<TraceWrite> Tracer::writes() const {
  std::vector<TraceWrite> out;
  for (int i : inputs_) {
    const Tensor& t = values()[i].tensor;
    if (!t->storage) continue;
    const Cell& cell = *cell_of(t->storage.get());
    if (cell.input == i && cell.version > 0) out.push_back({i, cell.value, cell.recorded});
  }
  return out;
}

TraceCut Tracer::cut() {
  TraceCut found;
  Digest digest;
  std::unordered_map<const TensorImpl*, uint64_t> place;  // among what is given, where that counts
  const bool counts = !grads_.empty() || !aliases_.empty();
  found.given.reserve(inputs_.size() + grads_.size());
  for (int i : inputs_) {
    const Tensor& input = values()[i].tensor;
    if (counts) place.try_emplace(input.get(), found.given.size());
    found.given.push_back(input);
  }
  const std::vector<GradChange> grads = grad_changes();
  for (const GradChange& c : grads) {
    if (place.try_emplace(c.leaf.get(), found.given.size()).second) found.given.push_back(c.leaf);
    const auto before = place.find(c.before.get());
    digest.add(place[c.leaf.get()]);
    digest.add(!c.before ? 0 : before == place.end() ? 1 : 2 + before->second);
    digest.add(static_cast<uint64_t>(c.value) << 1 | c.kept);
  }
  for (const auto& [t, value, view] : trace_->made) {
    if (!(t.is_traced() || (t->requires_grad && view)) || !(t->py_object || InUse::has(t)))
      continue;
    found.held.push_back(t);
    digest.add(static_cast<uint64_t>(value));
  }
  for (size_t i = 0; i < trace_->kept.size(); ++i) {  // other names of what was made
    const Tensor& t = trace_->kept[i];
    if (!t->py_object || !t.is_traced()) continue;
    found.held.push_back(t);
    digest.add(~uint64_t{i});
  }
  for (const TraceAlias& a : aliases_) {
    digest.add(place[a.root.get()]);
    digest.add(static_cast<uint64_t>(a.tensor->offset - a.root->offset));
    digest.add(a.tensor.strides());
    digest.add(static_cast<uint64_t>(is_tied(a.root.get(), a.tensor)));
  }
  for (const Tensor& t : fixed_layouts()) digest.add(t.strides());
  for (const TraceWrite& w : writes()) {
    digest.add(static_cast<uint64_t>(w.input));
    digest.add(static_cast<uint64_t>(w.value) << 1 | w.recorded);
  }
  for (uint64_t word : trace_->digest.value()) digest.add(word);
  digest.add(static_cast<uint64_t>(cuda::blas::float32_precision()));
  found.key = digest.value();
  return found;
}

std::vector<bool> Tracer::spared(std::span<const Tensor> held) const {
  std::vector<bool> found;
  if (spared_.empty()) return found;
  for (const Tensor& t : held) found.push_back(spared_.contains(t.get()));
  return found;
}

// Other code may read and change the memory of `t` while the function runs, which has its present
// value. What has gradients stays the tensor that these belong to, and so the region may have
// changed it.
bool Tracer::is_shared_with_others(const Tensor& t) const {
  return following_ && !t->requires_grad && t->storage && !t.is_traced() &&
         t->storage->is_shared_with_others() && !is_changed(t);
}

// An input with the elements that `t` has now.
int Tracer::snapshot(const Tensor& t) {
  Tensor copy = empty(t.sizes(), t.dtype(), t.device());
  copy_into(copy, t);
  return value_of(copy);
}

}  // namespace ostinato
