#include "autograd/region.hpp"

#include <algorithm>
#include <atomic>
#include <numeric>
#include <utility>

namespace ostinato {
namespace {

// A backward Program, for the cotangents of the results `came`.
struct Narrowed {
  std::vector<int> came;
  std::vector<int> gives;  // edges
  std::shared_ptr<CompiledProgram> program;
  const Narrowed* next = nullptr;
};

// Those that backward has met: found without a lock, added by whoever made one, never taken away.
class NarrowedPrograms {
 public:
  NarrowedPrograms() = default;
  NarrowedPrograms(const NarrowedPrograms&) = delete;
  NarrowedPrograms& operator=(const NarrowedPrograms&) = delete;
  ~NarrowedPrograms() {
    for (const Narrowed* n = first_; n;) delete std::exchange(n, n->next);
  }

  const Narrowed* find(const std::vector<int>& came) const {
    const Narrowed* n = first_.load(std::memory_order_acquire);
    while (n && n->came != came) n = n->next;
    return n;
  }

  const Narrowed& add(std::unique_ptr<Narrowed> made) {
    made->next = first_.load(std::memory_order_relaxed);
    while (!first_.compare_exchange_weak(made->next, made.get(), std::memory_order_release,
                                         std::memory_order_relaxed)) {
    }
    return *made.release();
  }

 private:
  std::atomic<const Narrowed*> first_ = nullptr;
};

// Of the node of a call; results from number `results` on are spent.
class RegionGradient : public GradientFunction {
 public:
  RegionGradient(std::shared_ptr<CompiledProgram> program, const RegionTies& ties, NarrowFn narrow)
      : name_(ties.name),
        results_(ties.results.size()),
        edges_(ties.wanted.size()),
        reach_(ties.reach),
        narrow_(std::move(narrow)) {
    std::vector<int> all(edges_);
    std::iota(all.begin(), all.end(), 0);
    reach_.resize(results_ + ties.spent.size(), std::move(all));
    if (program) {
      std::vector<int> came(results_);
      std::iota(came.begin(), came.end(), 0);
      add(std::move(came), std::move(program));
    }
  }

  std::string name() const override { return name_; }
  const Reach& reach() const override { return reach_; }

  void run(const Node& node, std::span<const Tensor> cotangents, Tensor* out) const override {
    std::vector<int> came;
    std::vector<Tensor> given;
    given.reserve(node.saved.size() + results_);
    for (const Saved& s : node.saved) given.push_back(s.value);
    for (size_t i = 0; i < cotangents.size(); ++i) {
      if (!cotangents[i]) continue;
      if (i >= results_) refuse_released(node);
      came.push_back(static_cast<int>(i));
      given.push_back(cotangents[i]);
    }
    const Narrowed* found = programs_.find(came);
    const Narrowed& narrowed = found ? *found : add(came, narrow_(came));
    std::vector<Tensor> made = narrowed.program->run(given);
    for (size_t i = 0; i < made.size(); ++i) out[narrowed.gives[i]] = std::move(made[i]);
  }

 private:
  const Narrowed& add(std::vector<int> came, std::shared_ptr<CompiledProgram> program) const {
    std::vector<bool> reached(edges_);
    for (int result : came) {
      for (int edge : reach_[result]) reached[edge] = true;
    }
    auto made = std::make_unique<Narrowed>(Narrowed{std::move(came), {}, std::move(program)});
    for (size_t i = 0; i < edges_; ++i) {
      if (reached[i]) made->gives.push_back(static_cast<int>(i));
    }
    return programs_.add(std::move(made));
  }

  std::string name_;
  size_t results_, edges_;
  Reach reach_;
  NarrowFn narrow_;
  mutable NarrowedPrograms programs_;
};

}  // namespace

RegionProgram::RegionProgram(std::shared_ptr<CompiledProgram> forward,
                             std::shared_ptr<CompiledProgram> backward, RegionTies ties,
                             NarrowFn narrow)
    : forward_(std::move(forward)),
      gradient_(std::make_shared<RegionGradient>(std::move(backward), ties, std::move(narrow))),
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
