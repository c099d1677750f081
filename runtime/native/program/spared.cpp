#include "program/spared.hpp"

#include <algorithm>
#include <set>

#include "program/compiled.hpp"

namespace ostinato {
namespace {

// The results that wait for something; `all` stands for those that every run makes.
using Waiting = std::set<int>;
constexpr int kAll = -1;

// Bytes of the arena, from the last step that reads them back to the one that makes them.
struct Awaited {
  int64_t low, high;
  Waiting by;
};

// Goes through the steps from the last to the first.
class Backward {
 public:
  Backward(const CompiledProgram& program, std::span<const int> outputs)
      : program_(program), outputs_(outputs.begin(), outputs.end()) {}

  // Who waits for step `s`; the steps after it were asked before.
  Waiting at(size_t s) {
    const CompiledStep& step = program_.steps[s];
    const auto operands = std::span(step.tensors).first(step.tensors.size() - step.writes);
    const auto written = std::span(step.tensors).last(step.writes);
    Waiting found;
    for (std::span<const int> made : {written, std::span(step.results)}) {
      for (int t : made) add_readers(t, found);
    }
    if (!can_be_left_out(step) || found.empty()) found = {kAll};
    for (std::span<const int> made : {written, std::span(step.results)}) {
      for (int t : made) forget(t);
    }
    for (int t : operands) await(t, found);
    return found;
  }

 private:
  // A library call is a graph of its own within the graph of a device, which has no such switch.
  bool can_be_left_out(const CompiledStep& step) const {
    return step.kind == StepKind::launch ||
           (step.kind == StepKind::call && program_.device.is_cpu());
  }

  void add_readers(int tensor, Waiting& found) const {
    const Placed& p = program_.tensors[tensor];
    if (p.space == Space::arena) {
      const auto [low, high] = bytes_of(p);
      for (const Awaited& a : awaited_) {
        if (a.low < high && low < a.high) found.insert(a.by.begin(), a.by.end());
      }
      return;
    }
    const int output = static_cast<int>(p.place);
    found.insert(p.space == Space::output && outputs_.contains(output) ? output : kAll);
  }

  // A step makes the whole of what it writes, so that nobody waits for what was there before.
  void forget(int tensor) {
    const Placed& p = program_.tensors[tensor];
    if (p.space != Space::arena || !is_dense(p)) return;
    const auto [low, high] = bytes_of(p);
    std::vector<Awaited> left;
    for (const Awaited& a : awaited_) {
      if (a.low < std::min(a.high, low)) left.push_back({a.low, std::min(a.high, low), a.by});
      if (std::max(a.low, high) < a.high) left.push_back({std::max(a.low, high), a.high, a.by});
    }
    awaited_ = std::move(left);
  }

  void await(int tensor, const Waiting& by) {
    if (tensor < 0 || program_.tensors[tensor].space != Space::arena) return;
    const auto [low, high] = bytes_of(program_.tensors[tensor]);
    awaited_.push_back({low, high, by});
  }

  static std::pair<int64_t, int64_t> bytes_of(const Placed& p) {
    int64_t low = p.start, high = p.start + 1;
    for (int i = 0; i < p.sizes.ssize(); ++i) {
      const int64_t reach = (p.sizes[i] - 1) * p.strides[i];
      (reach < 0 ? low : high) += reach;
    }
    const int64_t item = static_cast<int64_t>(size_of(p.dtype));
    return {p.place + low * item, p.place + high * item};
  }

  static bool is_dense(const Placed& p) {
    int64_t count = 1;
    for (int64_t size : p.sizes) count *= size;
    const auto [low, high] = bytes_of(p);
    return count * static_cast<int64_t>(size_of(p.dtype)) == high - low;
  }

  const CompiledProgram& program_;
  std::set<int> outputs_;
  std::vector<Awaited> awaited_;
};

}  // namespace

SparedSteps::SparedSteps(const CompiledProgram& program, std::span<const int> outputs)
    : step_is_spared_(program.steps.size()), output_is_spared_(program.outputs.size()) {
  std::set<int> able;
  for (int o : outputs) {
    const ProgramOutput& output = program.outputs[o];
    if (output.writes < 0 && output.input < 0) able.insert(o);
  }
  const std::vector<int> asked(able.begin(), able.end());
  Backward backward(program, asked);
  for (size_t s = program.steps.size(); s-- > 0;) {
    const Waiting waiting = backward.at(s);
    if (waiting.contains(kAll)) continue;
    steps_.push_back(s);
    waiting_.emplace_back(waiting.begin(), waiting.end());
  }
  const auto writes = [&](size_t s, int o) {
    const auto is_it = [&](int t) {
      return program.tensors[t].space == Space::output && program.tensors[t].place == o;
    };
    const CompiledStep& step = program.steps[s];
    return std::ranges::any_of(std::span(step.tensors).last(step.writes), is_it) ||
           std::ranges::any_of(step.results, is_it);
  };
  for (int o : asked) {
    Output& output = outputs_.emplace_back(Output{o, {}});
    for (size_t s = 0; s < program.steps.size(); ++s) {
      if (writes(s, o)) output.writers.push_back(s);
    }
  }
}

void SparedSteps::choose(std::span<const int> wanted) {
  if (steps_.empty()) return;
  std::vector<bool> is_wanted(output_is_spared_.size());
  for (int o : wanted) {
    if (o != kSpared) is_wanted[o] = true;
  }
  for (size_t i = 0; i < steps_.size(); ++i) {
    const auto asks = [&](int o) { return is_wanted[o]; };
    step_is_spared_[steps_[i]] = std::ranges::none_of(waiting_[i], asks);
  }
  for (const Output& o : outputs_) {
    const auto is_spared = [&](size_t s) { return step_is_spared_[s]; };
    output_is_spared_[o.number] = !is_wanted[o.number] && std::ranges::all_of(o.writers, is_spared);
  }
}

}  // namespace ostinato
