#include "trace/trace.hpp"

#include <algorithm>
#include <utility>

namespace ostinato {
namespace {

constexpr size_t kSpare = 4;       // traces that a thread keeps
constexpr size_t kMost = 1 << 14;  // nodes of one that is kept

thread_local std::vector<std::unique_ptr<Trace>> spare;
thread_local int64_t current_pin = 0;

uint64_t bits(const void* p) { return std::bit_cast<uint64_t>(p); }

void add_value_to(Digest& digest, const TraceValue& v) {
  if (v.kind == TraceValue::Kind::result) return;  // its op says all
  digest.add(static_cast<uint64_t>(v.kind) | v.wrapped << 2 | v.requires_grad << 3);
  digest.add(v.meta);
  if (v.kind != TraceValue::Kind::number) return;
  for (size_t i = 0; i < size_of(v.meta.dtype); ++i) {
    digest.add(static_cast<uint64_t>(v.tensor->inline_data[i]));
  }
}

}  // namespace

std::unique_ptr<Trace> Trace::take() {
  if (spare.empty()) return std::make_unique<Trace>();
  std::unique_ptr<Trace> trace = std::move(spare.back());
  spare.pop_back();
  return trace;
}

void Trace::give_back(std::unique_ptr<Trace> trace) {
  const bool keeps = trace->nodes.size() <= kMost && spare.size() < kSpare;
  trace->clear();
  if (keeps) spare.push_back(std::move(trace));
}

int Trace::add_value(TraceValue value) {
  add_value_to(digest, value);
  values.push_back(std::move(value));
  return static_cast<int>(values.size()) - 1;
}

int64_t exchange_pin(int64_t pin) { return std::exchange(current_pin, pin); }

int Trace::present_pin() {
  if (current_pin == 0) return 0;
  const auto found = std::find(pins_.begin(), pins_.end(), current_pin);
  const int number = static_cast<int>(found - pins_.begin()) + 1;
  if (found == pins_.end()) pins_.push_back(current_pin);
  return current_pin < 0 ? -number : number;
}

TraceNode& Trace::add_node(const OpInfo* op, std::span<const int> operands,
                           std::span<const Attr> attrs, const CallSite& site, bool no_grad,
                           bool grad) {
  const int pin = present_pin();
  digest.add((op ? 1 + uint64_t{op->id} : 0) | uint64_t{no_grad} << 16 | uint64_t{grad} << 17 |
             uint64_t{pin != 0} << 18 | uint64_t{operands.size()} << 32);
  if (pin) digest.add(static_cast<uint64_t>(pin));
  digest.add(bits(site.code) + static_cast<uint64_t>(site.instruction) * 0x9E3779B97F4A7C15);
  digest.add(operands);
  for (const Attr& a : attrs) digest.add(a);
  return append(op, operands, attrs, site, no_grad, pin);
}

TraceNode& Trace::append(const OpInfo* op, std::span<const int> operands,
                         std::span<const Attr> attrs, const CallSite& site, bool no_grad, int pin) {
  const auto first = static_cast<uint32_t>(ids.size()),
             count = static_cast<uint32_t>(operands.size());
  const Part parts = {static_cast<uint32_t>(attr_list.size()), static_cast<uint32_t>(attrs.size())};
  ids.insert(ids.end(), operands.begin(), operands.end());
  attr_list.insert(attr_list.end(), attrs.begin(), attrs.end());
  keep(site);
  digests.push_back(digest);
  nodes.push_back({op, {first, count}, {first + count, 0}, parts, site, no_grad, pin});
  return nodes.back();
}

TraceNode& Trace::repeat_node(const Trace& path) {
  const TraceNode& known = path.nodes[nodes.size()];
  digest = path.digests[nodes.size()];
  TraceNode& node = append(known.op, path.operands(known), path.attrs(known), known.site,
                           known.no_grad, known.pin);
  node.saves = known.saves;
  return node;
}

size_t Trace::value_after(size_t count) const {
  while (count > 0 && results(nodes[count - 1]).empty()) --count;  // a gradient of nothing
  return count == 0 ? 0 : static_cast<size_t>(results(nodes[count - 1]).back()) + 1;
}

void Trace::add_result(TraceNode& node, int value) {
  ids.push_back(value);
  ++node.results.count;
}

void Trace::keep(const CallSite& site) {
  const auto is_known = [&](const CallSite& known) { return known.code == site.code; };
  if (!site.code || (!codes_.empty() && is_known(codes_.back()))) return;
  if (std::none_of(codes_.begin(), codes_.end(), is_known)) codes_.push_back(copy_of(site));
}

void Trace::let_go_of_tensors() {
  for (TraceValue& v : values) {
    if (v.kind != TraceValue::Kind::number) v.tensor = {};
  }
  cells.clear();
  made.clear();
  kept.clear();
  given_cells.clear();
  given.clear();
  views.clear();
  number_inputs.clear();
}

void Trace::clear() {
  let_go_of_tensors();
  values.clear();
  nodes.clear();
  pins_.clear();
  ids.clear();
  attr_list.clear();
  digest = {};
  digests.clear();
  for (CallSite& site : codes_) let_go(site);
  codes_.clear();
}

const Trace* TracePaths::find(const Trace& trace, const Trace* likely) const {
  const size_t count = trace.nodes.size();
  const auto agrees = [&](const Trace& path) {
    return path.nodes.size() > count &&
           (count == 0 || path.digests[count - 1] == trace.digests[count - 1]);
  };
  if (likely && agrees(*likely)) return likely;
  for (const auto& path : paths_) {
    if (agrees(*path)) return path.get();
  }
  return nullptr;
}

}  // namespace ostinato
