// Recording what was recorded before: once an op is found to be the one that came next, its results
// and its part of the digest are known.
#include <algorithm>
#include <bit>
#include <cstring>

#include "dispatch/autocast.hpp"
#include "dispatch/op_call.hpp"
#include "trace/tracer.hpp"

namespace ostinato {
namespace {

constexpr size_t kLongest = 1 << 12;  // nodes of a path that is kept

// Equal numbers may differ in their sign.
bool are_same(const Attr& a, const Attr& b) {
  if (!(a == b)) return false;
  const double* real = std::get_if<double>(&a.value());
  return !real || std::bit_cast<uint64_t>(*real) == std::bit_cast<uint64_t>(b.as_double());
}

// As far as a digest tells.
bool are_same(const TraceValue& a, const TraceValue& b) {
  if (a.kind != b.kind || a.wrapped != b.wrapped || a.requires_grad != b.requires_grad ||
      a.meta.dtype != b.meta.dtype || a.meta.device != b.meta.device ||
      a.meta.sizes != b.meta.sizes) {
    return false;
  }
  return a.kind != TraceValue::Kind::number ||
         std::memcmp(a.tensor->inline_data, b.tensor->inline_data, size_of(a.meta.dtype)) == 0;
}

// Whether results depend on nothing but operands and attributes, and share no memory with these.
bool is_repeatable(const OpInfo& op) { return !op.view && !op.creates && op.device_attr < 0; }

bool is_same_call(const OpCall& call, const Trace& path, const TraceNode& known) {
  const CallSite& site = call_site();
  const std::span<const Attr> attrs = path.attrs(known);
  return known.op == call.op && known.operands.count == call.operands.size() &&
         known.site.code == site.code && known.site.instruction == site.instruction &&
         known.no_grad != grad_enabled() && attrs.size() == call.attrs.size() &&
         std::equal(attrs.begin(), attrs.end(), call.attrs.begin(),
                    [](const Attr& a, const Attr& b) { return are_same(a, b); });
}

}  // namespace

void Tracer::expect(const TracePaths* paths) {
  paths_ = paths;
  path_ = nullptr;
}

bool Tracer::agrees_on_values(const Trace& path, size_t end) const {
  if (values().size() != end) return false;
  for (size_t v = trace_->value_after(trace_->nodes.size()); v < end; ++v) {
    if (!are_same(values()[v], path.values[v])) return false;
  }
  return true;
}

bool Tracer::repeat(const OpCall& call, Tensor* results) {
  if (!is_repeatable(*call.op) || autocast().is_on()) return false;
  path_ = paths_->find(*trace_, path_);
  if (!path_) {
    paths_ = nullptr;  // nor do they fit what comes later
    return false;
  }
  const size_t count = trace_->nodes.size();
  const TraceNode& known = path_->nodes[count];
  if (!is_same_call(call, *path_, known)) return false;
  const std::span<const int> operands = path_->operands(known), made = path_->results(known);
  for (size_t i = 0; i < operands.size(); ++i) {
    if (value_of(call.operands[i]) != operands[i]) return false;
  }
  if (trace_->nodes.size() != count || trace_->present_pin() != known.pin) return false;
  if (!agrees_on_values(*path_, static_cast<size_t>(made[0]))) return false;
  TraceNode& node = trace_->repeat_node(*path_);
  for (size_t i = 0; i < made.size(); ++i) {
    const TraceValue& value = path_->values[made[i]];
    const TensorMeta& meta = value.meta;
    place(meta.dtype, meta.sizes, meta.device);
    results[i] = traced_tensor(meta.sizes, meta.dtype, meta.device);
    results[i]->requires_grad = value.requires_grad;
    const int id = trace_->add_value(value);
    trace_->add_result(node, id);
    add_made(results[i], id, false);
  }
  return true;
}

bool Tracer::was_expected() const {
  const size_t count = trace_->nodes.size();
  return count == 0 || (path_ && path_->nodes.size() >= count &&
                        path_->digests[count - 1] == trace_->digests[count - 1]);
}

std::unique_ptr<const Trace> Tracer::take_path() {
  if (trace_->nodes.size() > kLongest) return nullptr;
  trace_->let_go_of_tensors();
  return std::exchange(trace_, Trace::take());
}

}  // namespace ostinato
