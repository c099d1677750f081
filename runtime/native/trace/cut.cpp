// The end of a region whose function runs on: what it was given, what it owes, and what it did, as
// a number by which the same is known again.
#include <bit>
#include <unordered_map>

#include "core/tensor.hpp"
#include "dispatch/op_call.hpp"
#include "trace/tracer.hpp"

namespace ostinato {
namespace {

// 128 bits of whatever is added, in order: two lanes of multiplications and rotations.
class Digest {
 public:
  void add(uint64_t word) {
    low_ = std::rotl((low_ ^ word) * 0x9E3779B97F4A7C15, 29) + high_;
    high_ = std::rotl((high_ + word) * 0xC2B2AE3D27D4EB4F, 31) ^ low_;
  }
  void add(std::span<const int> numbers) {
    add(numbers.size());
    for (int n : numbers) add(static_cast<uint64_t>(n));
  }
  void add(const Sizes& sizes) {
    add(static_cast<uint64_t>(sizes.ssize()));
    for (int64_t n : sizes) add(static_cast<uint64_t>(n));
  }
  void add(const TensorMeta& meta) {
    add(static_cast<uint64_t>(meta.dtype));
    add(meta.device.is_cuda() ? 2 + static_cast<uint64_t>(meta.device.index) : 1);
    add(meta.sizes);
  }
  void add(const Attr& attr) {
    add(attr.value().index());
    std::visit([this](const auto& v) { add_value(v); }, attr.value());
  }
  std::array<uint64_t, 2> value() const { return {low_, high_}; }

 private:
  void add_value(std::monostate) {}
  void add_value(bool v) { add(static_cast<uint64_t>(v)); }
  void add_value(int64_t v) { add(static_cast<uint64_t>(v)); }
  void add_value(double v) { add(std::bit_cast<uint64_t>(v)); }
  void add_value(DType v) { add(static_cast<uint64_t>(v)); }
  void add_value(const std::string& v) { add(std::hash<std::string>()(v)); }
  void add_value(const Sizes& v) { add(v); }

  uint64_t low_ = 0x243F6A8885A308D3, high_ = 0x13198A2E03707344;
};

uint64_t bits(const void* p) { return std::bit_cast<uint64_t>(p); }

void add_value(Digest& digest, const TraceValue& v) {
  digest.add(static_cast<uint64_t>(v.kind) | v.wrapped << 2 | v.requires_grad << 3);
  if (v.kind == TraceValue::Kind::result) return;  // its op says the rest
  digest.add(v.meta);
  if (v.kind != TraceValue::Kind::number) return;
  for (size_t i = 0; i < size_of(v.meta.dtype); ++i) {
    digest.add(static_cast<uint64_t>(v.tensor->inline_data[i]));
  }
}

void add_node(Digest& digest, const TraceNode& node) {
  digest.add(node.op ? 1 + static_cast<uint64_t>(node.op->id) : 0);
  digest.add(node.operands);
  digest.add(node.results);
  digest.add(static_cast<uint64_t>(node.no_grad));
  for (const Attr& a : node.attrs) digest.add(a);
  digest.add(bits(node.site.code));
  digest.add(static_cast<uint64_t>(node.site.instruction));
}

}  // namespace

bool Tracer::is_settled(const Tensor& t) const {
  if (!t->storage) return true;
  if (t.is_traced()) return false;
  const Cell* cell = cells_.find(t->storage.get());
  return !cell || !cell->version;
}

TraceCut Tracer::cut() {
  TraceCut found;
  Digest digest;
  std::unordered_map<const TensorImpl*, uint64_t> place;  // among what is given
  for (int i : inputs_) {
    place.try_emplace(values_[i].tensor.get(), found.given.size());
    found.given.push_back(values_[i].tensor);
  }
  const std::vector<GradChange> grads = grad_changes();
  for (const GradChange& c : grads) {
    if (place.try_emplace(c.leaf.get(), found.given.size()).second) found.given.push_back(c.leaf);
    const auto before = place.find(c.before.get());
    digest.add(place[c.leaf.get()]);
    digest.add(!c.before ? 0 : before == place.end() ? 1 : 2 + before->second);
    digest.add(static_cast<uint64_t>(c.value) << 1 | c.kept);
  }
  for (size_t i = 0; i < keep_.size(); ++i) {
    const Tensor& t = keep_[i];
    if (!t->py_object || !(t.is_traced() || (t->requires_grad && views_.contains(t.get())))) {
      continue;
    }
    found.held.push_back(t);
    digest.add(i);
  }
  for (const TraceAlias& a : aliases_) {
    digest.add(place[a.root.get()]);
    digest.add(static_cast<uint64_t>(a.tensor->offset - a.root->offset));
    digest.add(a.tensor.strides());
    digest.add(static_cast<uint64_t>(is_tied(a.root, a.tensor)));
  }
  for (const Tensor& t : fixed_layouts()) digest.add(t.strides());
  for (const TraceValue& v : values_) add_value(digest, v);
  for (const TraceNode& n : nodes_) add_node(digest, n);
  for (const TraceWrite& w : writes()) {
    digest.add(static_cast<uint64_t>(w.input));
    digest.add(static_cast<uint64_t>(w.value) << 1 | w.recorded);
  }
  found.key = digest.value();
  return found;
}

// Other code may read and change the memory of `t` while the function runs. What has gradients
// stays the tensor that these belong to.
bool Tracer::is_shared_with_others(const Tensor& t) const {
  return following_ && !t->requires_grad && t->storage && !t.is_traced() &&
         t->storage->is_shared_with_others();
}

// An input with the elements that `t` has now.
int Tracer::snapshot(const Tensor& t) {
  Tensor copy = empty(t.sizes(), t.dtype(), t.device());
  copy_into(copy, t);
  return value_of(copy);
}

}  // namespace ostinato
