#include "autograd/tape_program.hpp"

#include <algorithm>
#include <array>
#include <mutex>
#include <unordered_map>

#include "autograd/visit.hpp"
#include "program/counts.hpp"

namespace ostinato {
namespace {

constexpr int kTimesWalked = 2;
constexpr size_t kMostSeen = 4096;

DeriveTapeFn derive = nullptr;
thread_local bool enabled = true;

// What all threads share. The lock is held for look-ups only, never while a Program is made.
class Shelf {
 public:
  std::vector<Ref<TapeProgram>> candidates(uint64_t hash) {
    std::lock_guard lock(mutex_);
    std::vector<Ref<TapeProgram>> found;
    for (const Ref<TapeProgram>& p : programs_) {
      if (p->hash == hash) found.push_back(p);
    }
    return found;
  }

  // Counts a request that has no Program; true once, when it is time to make one.
  bool is_due(uint64_t hash) {
    std::lock_guard lock(mutex_);
    if (seen_.size() >= kMostSeen) seen_.clear();
    return ++seen_[hash] == kTimesWalked + 1;
  }

  void add(const Ref<TapeProgram>& made) {
    std::lock_guard lock(mutex_);
    seen_.erase(made->hash);
    programs_.push_back(made);
    nodes_ += made->structure.size();
    while (programs_.size() > kMostTapePrograms || nodes_ > kMostTapeNodes) {
      auto oldest =
          std::min_element(programs_.begin(), programs_.end(),
                           [](const auto& a, const auto& b) { return a->used < b->used; });
      nodes_ -= (*oldest)->structure.size();
      programs_.erase(oldest);
    }
  }

  size_t size() {
    std::lock_guard lock(mutex_);
    return programs_.size();
  }

  void clear() {
    std::lock_guard lock(mutex_);
    seen_.clear();
    programs_.clear();
    nodes_ = 0;
  }

 private:
  std::mutex mutex_;
  std::unordered_map<uint64_t, int> seen_;
  std::vector<Ref<TapeProgram>> programs_;
  size_t nodes_ = 0;
};

Shelf& shelf() {
  static Shelf& shared = *new Shelf;
  return shared;
}

// What this thread ran last: a hit takes no lock.
std::array<Ref<TapeProgram>, 16>& recent() {
  thread_local std::array<Ref<TapeProgram>, 16> programs;
  return programs;
}

bool has_duplicates(std::span<const Tensor> inputs) {
  std::vector<const TensorImpl*> all;
  for (const Tensor& t : inputs) all.push_back(t.get());
  std::sort(all.begin(), all.end());
  return std::adjacent_find(all.begin(), all.end()) != all.end();
}

Ref<TapeProgram> make(const TapeRequest& request, uint64_t hash, std::vector<Node*>& nodes) {
  Order order = order_of({&request.root, 1});
  std::optional<TapeStructure> structure = TapeStructure::of(request, order);
  if (!structure) return {};
  Ref<TapeProgram> made(new TapeProgram);
  made->hash = hash;
  made->program = derive(*structure, order.nodes);
  made->structure = std::move(*structure);
  made->used = program_counts().tape_runs.load();
  nodes = std::move(order.nodes);
  shelf().add(made);
  return made;
}

class TapeRun final : public TapeSteps {
 public:
  TapeRun(std::span<Node* const> nodes, bool retain) : nodes_(nodes), retain_(retain) {}

  void function(const Instruction& step, std::span<const Tensor> cotangents, Tensor* out) override {
    const Node& node = *nodes_[step.served];
    node.function->run(node, cotangents, out);
  }

  Device device(const Instruction& step) const override { return nodes_[step.served]->device; }

  void enter(const Instruction& step, std::span<Tensor> slots) override {
    const Node& node = *nodes_[step.served];
    check_saved(node);
    for (size_t i = 0; i < step.operands.size(); ++i) {
      slots[step.results[i]] = saved(node, step.operands[i]);
    }
  }

  void leave(const Instruction& step) override {
    if (!retain_) release(*nodes_[step.served]);
  }

  void deliver(const Instruction& step, Tensor cotangent) override {
    add_to_grad(nodes_[step.served]->edges[step.operand].leaf, std::move(cotangent), false);
  }

 private:
  static const Tensor& saved(const Node& node, int slot) {
    for (const Saved& s : node.saved) {
      if (s.slot == slot) return s.value;
    }
    throw Error(ErrorKind::runtime, "a Program reads what " + text_of(node) +
                                        " did not save; this is an error of the library");
  }

  std::span<Node* const> nodes_;
  bool retain_;
};

}  // namespace

void set_derive_tape(DeriveTapeFn fn) { derive = fn; }
bool tape_programs_enabled() { return enabled; }
void set_tape_programs_enabled(bool on) { enabled = on; }

void clear_tape_programs() {
  shelf().clear();
  recent() = {};
}

size_t tape_programs_kept() { return shelf().size(); }

Ref<TapeProgram> find_tape_program(const TapeRequest& request, std::vector<Node*>& nodes) {
  const uint64_t hash = hash_of(request);
  Ref<TapeProgram>& last = recent()[hash % recent().size()];
  if (last && last->hash == hash && last->structure.matches(request, nodes)) return last;
  for (Ref<TapeProgram>& p : shelf().candidates(hash)) {
    if (p->structure.matches(request, nodes)) return last = p;
  }
  if (has_duplicates(request.inputs) || !shelf().is_due(hash)) return {};
  return last = make(request, hash, nodes);
}

std::vector<Tensor> run_tape_program(const TapeProgram& program, const Tensor& seed, bool retain,
                                     std::span<Node* const> nodes) {
  program.used = ++program_counts().tape_runs;
  std::vector<CallShapes> calls;
  calls.reserve(nodes.size());
  for (const Node* n : nodes) calls.push_back({n->operand_sizes, n->result_sizes, n->attrs});
  TapeRun run(nodes, retain);
  std::vector<Tensor> found(program.structure.inputs().size());
  run_program(*program.program, {&seed, 1}, calls, false, found.data(), &run);
  return found;
}

}  // namespace ostinato
