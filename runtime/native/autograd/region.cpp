#include "autograd/region.hpp"

#include <algorithm>
#include <numeric>

#include "core/device.hpp"
#include "ops.hpp"

namespace ostinato {
namespace {

// For a result that nothing used, beside a cotangent that came.
Tensor zeros(const Sizes& sizes, DType dtype, Device device) {
  const DeviceScope scope(device);
  const Tensor zero = number(0.0);
  const Attr attrs[] = {Attr(sizes), Attr(dtype)};
  return run_op(op_info(op::full), {&zero, 1}, attrs);
}

// Of the node of a call; results from number `results` on are spent.
class RegionGradient : public GradientFunction {
 public:
  RegionGradient(std::shared_ptr<CompiledProgram> program, std::string name, size_t results)
      : program_(std::move(program)), name_(std::move(name)), results_(results) {}

  std::string name() const override { return name_; }

  void run(const Node& node, std::span<const Tensor> cotangents, Tensor* out) const override {
    Device device = kCpu;
    for (size_t i = 0; i < cotangents.size(); ++i) {
      if (!cotangents[i]) continue;
      if (i >= results_) refuse_released(node);
      device = cotangents[i].device();
    }
    std::vector<Tensor> given;
    given.reserve(node.saved.size() + results_);
    for (const Saved& s : node.saved) given.push_back(s.value);
    for (size_t i = 0; i < results_; ++i) {
      given.push_back(cotangents[i]
                          ? cotangents[i]
                          : zeros(node.result_sizes[i], node.results()[i].dtype(), device));
    }
    std::vector<Tensor> made = program_->run(given);
    std::move(made.begin(), made.end(), out);
  }

 private:
  std::shared_ptr<CompiledProgram> program_;
  std::string name_;
  size_t results_;
};

}  // namespace

RegionProgram::RegionProgram(std::shared_ptr<CompiledProgram> forward,
                             std::shared_ptr<CompiledProgram> backward, RegionTies ties)
    : forward_(std::move(forward)),
      gradient_(
          std::make_shared<RegionGradient>(std::move(backward), ties.name, ties.results.size())),
      ties_(std::move(ties)) {}

Ref<Node> RegionProgram::open_node(std::span<const Tensor> inputs) const {
  Ref<Node> node(new Node);
  node->function = gradient_;
  std::swap(node->site, call_site());
  node->edges.reserve(ties_.wanted.size());
  node->operand_sizes.reserve(ties_.wanted.size());
  node->result_sizes.reserve(ties_.results.size() + ties_.spent.size());
  node->saved.reserve(ties_.kept.size());
  for (int i : ties_.wanted) {
    node->edges.push_back(edge_of(inputs[i]));
    node->patterns.push_back(Pattern(inputs[i]));
    node->operand_sizes.push_back(inputs[i].sizes());
  }
  return node;
}

// What nobody else has, and no node made, is kept as it is.
void RegionProgram::keep(Node& node, std::span<const Tensor> inputs,
                         std::span<const Tensor> made) const {
  int slot = 0;
  for (const Kept& k : ties_.kept) {
    const Tensor& value = k.is_input ? inputs[k.index] : made[k.index];
    const bool own = !k.is_input && static_cast<size_t>(k.index) >= ties_.shown;
    if (own && value->use_count() == 1)
      node.saved.push_back({slot, value, value->storage->version()});
    else
      save(node, slot, value);
    ++slot;
  }
}

void RegionProgram::may_spare(std::span<const int> outputs) {
  const auto is_kept = [&](int o) {
    return std::ranges::any_of(ties_.kept,
                               [&](const Kept& k) { return !k.is_input && k.index == o; });
  };
  for (int o : outputs) {
    const bool is_tied = std::ranges::find(ties_.results, o) != ties_.results.end() ||
                         std::ranges::find(ties_.spent, o) != ties_.spent.end();
    if (!is_tied && !is_kept(o)) spare_.push_back(o);
  }
  forward_->may_spare(spare_);
}

// All outputs of the forward Program but those of `spare_` that are not wanted.
std::vector<int> RegionProgram::asked(std::span<const int> wanted) const {
  std::vector<int> asked(forward_->outputs.size());
  std::iota(asked.begin(), asked.end(), 0);
  for (int o : spare_) asked[o] = kSpared;
  for (int o : wanted) {
    if (o != kSpared) asked[o] = o;
  }
  return asked;
}

std::vector<Tensor> RegionProgram::run(std::span<const Tensor> inputs,
                                       std::span<const int> wanted) {
  // Before the region runs: it may change inputs, and so their place on the tape.
  const Ref<Node> node = open_node(inputs);
  std::vector<Tensor> made = forward_->run(inputs, asked(wanted));
  keep(*node, inputs, made);
  for (const std::vector<int>* part : {&ties_.results, &ties_.spent}) {
    for (int i : *part) {
      attach(made[i], node, static_cast<int>(node->result_sizes.size()));
      node->patterns.push_back(Pattern(made[i]));
      node->result_sizes.push_back(made[i].sizes());
    }
  }
  const auto found = std::ranges::find_if(made, [](const Tensor& t) { return bool(t); });
  node->device = found == made.end() ? kCpu : found->device();
  seal(*node);
  made.resize(ties_.shown);
  return made;
}

}  // namespace ostinato
