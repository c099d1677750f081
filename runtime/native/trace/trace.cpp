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
  const auto first = static_cast<uint32_t>(ids.size()),
             count = static_cast<uint32_t>(operands.size());
  const Part parts = {static_cast<uint32_t>(attr_list.size()), static_cast<uint32_t>(attrs.size())};
  const int pin = present_pin();
  digest.add((op ? 1 + uint64_t{op->id} : 0) | uint64_t{no_grad} << 16 | uint64_t{grad} << 17 |
             uint64_t{pin != 0} << 18 | uint64_t{count} << 32);
  if (pin) digest.add(static_cast<uint64_t>(pin));
  digest.add(bits(site.code) + static_cast<uint64_t>(site.instruction) * 0x9E3779B97F4A7C15);
  digest.add(operands);
  for (const Attr& a : attrs) digest.add(a);
  ids.insert(ids.end(), operands.begin(), operands.end());
  attr_list.insert(attr_list.end(), attrs.begin(), attrs.end());
  keep(site);
  nodes.push_back({op, {first, count}, {first + count, 0}, parts, site, no_grad, pin});
  return nodes.back();
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

void Trace::clear() {
  values.clear();
  nodes.clear();
  pins_.clear();
  ids.clear();
  attr_list.clear();
  cells.clear();
  made.clear();
  kept.clear();
  given_cells.clear();
  given.clear();
  views.clear();
  number_inputs.clear();
  digest = {};
  for (CallSite& site : codes_) let_go(site);
  codes_.clear();
}

}  // namespace ostinato
