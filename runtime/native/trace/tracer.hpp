// The trace of a capture: what the dispatcher was asked to do, as values. In-place changes become
// new values of the storage they change; the ones that inputs end with are written back at replay.
#pragma once
#include <array>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "trace/trace.hpp"

namespace ostinato {

// An input that ends with another value; `recorded` where gradients are recorded of a change.
struct TraceWrite {
  int input;
  int value;
  bool recorded;
};

// One view op on the way from a tensor to a view of it.
struct ViewStep {
  const OpInfo* op;
  std::vector<Attr> attrs;
  bool no_grad;
};
// Makes the view of `source` again, as eager code does.
Tensor apply_views(Tensor source, std::span<const ViewStep> steps);

// A given tensor that the region computes from an input, whose memory it shows.
struct TraceAlias {
  Tensor tensor;
  Tensor root;  // the input
};
// Whether gradients of the memory of `root` are gradients of `t` too: `t` is no detached alias.
bool is_tied(const TensorImpl* root, const Tensor& t);

// What the gradient of some values leads to.
struct GradientPath {
  std::vector<int> leaves;  // inputs that require grad
  bool released = false;    // a node on the way is
};

// A leaf whose grad the capture set: to a value of the trace, or to none (-1).
struct GradChange {
  Tensor leaf;
  Tensor before;
  int value = -1;
  bool kept = false;  // the same tensor as before, changed in place at most
};

// What a finished region has to do with the rest of the program.
struct TraceCut {
  std::vector<Tensor> held;     // by user code: what waits for a value, or a place on the tape
  std::vector<Tensor> given;    // inputs, then leaves whose grad changes
  std::array<uint64_t, 2> key;  // equal for regions that one Program serves
};

// What goes on from one region of a function to the next.
class Follower {
 public:
  virtual ~Follower() = default;
  // Ends the region here, for a reason, and begins another; whether that could be done.
  virtual bool leave(const std::string& why) = 0;
};

class Tracer {
 public:
  // A tracer that follows is there for one run of its function, whose Python runs each time.
  explicit Tracer(bool following = false);
  // The same with what leaves its regions, which lives longer.
  explicit Tracer(Follower* follower);
  Tracer(const Tracer&) = delete;
  Tracer& operator=(const Tracer&) = delete;
  ~Tracer();

  // The tracer of this thread, null outside of captures.
  static Tracer* active();
  // Makes another one, or none, the tracer of this thread; the one before.
  static Tracer* exchange_active(Tracer* tracer);
  void start();
  // Ends the capture and gives leaves back the grads they had.
  void stop();
  // Lets go of all that was recorded: what comes now is another capture.
  void renew();

  // What comes now is likely one of `paths`, which live as long as the capture; null for nothing.
  void expect(const TracePaths* paths);
  bool expects() const { return paths_ != nullptr; }
  // Records a call that was expected, and whether it was: what is inferred is known then.
  bool repeat(const OpCall& call, Tensor* results);
  // Whether nothing was recorded but what was expected.
  bool was_expected() const;
  // What was recorded, without tensors, to be expected; the tracer is left without it.
  std::unique_ptr<const Trace> take_path();

  void record(const OpCall& call, const TensorMeta* metas, Tensor* results);
  void record_inplace(const OpCall& call, const TensorMeta& meta);
  // `tensor.backward()` or, with `inputs`, the functional form.
  std::vector<Tensor> gradient(const Tensor& root, const Tensor& seed,
                               std::span<const Tensor> inputs, bool retain);
  // Where the gradients of `roots`, values of the trace, go.
  GradientPath path_of(std::span<const int> roots) const;
  // True for a tensor from outside, false for one that the region made, be it a view of an input.
  bool is_given(const Tensor& t) const;
  // `t`, which the region made, is a leaf from here on: what follows has gradients by it.
  void make_leaf(const Tensor& t);
  // Before the grad of a leaf is set by the user or by `gradient`.
  void note_grad(const Tensor& leaf);
  // The id of a tensor's present value; registers tensors from outside as inputs.
  int value_of(const Tensor& t);
  // Registers `t` (a number or tensor) as an input of the region even when it is a number.
  int add_input(const Tensor& t);
  // Before anything is recorded that writes to `t` as well: an error where that cannot be captured.
  void expect_writable(const Tensor& t);
  // `target` takes the value of `source`, converted.
  void write_to(const Tensor& target, const Tensor& source);

  // Where the region runs: where its tensors lie.
  Device device() const;
  const Trace& trace() const { return *trace_; }
  const std::vector<TraceValue>& values() const { return trace_->values; }
  const std::vector<int>& inputs() const { return inputs_; }
  // For each input whose storage ends with another value.
  std::vector<TraceWrite> writes() const;
  // Whether `t` has a gradient, by its value now.
  bool requires_grad(const Tensor& t);
  // The tensor that `t` is a view of, made by the steps; `t` itself where no view op made it.
  Tensor source_of(const Tensor& t, std::vector<ViewStep>& steps) const;
  const std::vector<TraceAlias>& aliases() const { return aliases_; }
  // From now on the region relies on how `t` lies in memory.
  void note_layout(const Tensor& t);
  // Tensors from outside on whose layout the region relies.
  std::vector<Tensor> fixed_layouts() const;
  bool is_following() const { return following_; }
  Follower* follower() const { return follower_; }
  // No other capture has it.
  uint64_t number() const { return number_; }
  bool is_empty() const { return trace_->nodes.empty() && grads_.empty(); }
  // Whether the memory of `t` has its present value: nothing in the region changes or makes it.
  bool is_settled(const Tensor& t) const;
  std::vector<Tensor> changed_leaves() const;
  // What the region leaves to user code, so far.
  TraceCut cut();
  // Nobody needs the elements of `t`, which the region made, though it is held.
  void spare(const Tensor& t) { spared_.insert(t.get()); }
  // For each of `held` whether that was said; empty where it was said of none.
  std::vector<bool> spared(std::span<const Tensor> held) const;
  // The grads as they are now, by leaf.
  std::vector<GradChange> grad_changes();

 private:
  using Cell = TraceCell;

  void place(DType dtype, const Sizes& sizes, Device device);
  // Whether the values that came since the last node are those of `path`, up to `end`.
  bool agrees_on_values(const Trace& path, size_t end) const;
  int emit(const OpInfo& op, std::span<const int> operands, std::span<const Attr> attrs,
           TensorMeta meta, bool no_grad = false);
  int input_of(const Tensor& t);
  int value_of_number(const Tensor& t);
  // What is known of a tensor or of a storage; null where it was not met yet.
  TraceMark* mark_of(TensorImpl* t);
  const TraceMark* mark_of(TensorImpl* t) const { return const_cast<Tracer*>(this)->mark_of(t); }
  Cell* cell_of(Storage* s);
  const Cell* cell_of(Storage* s) const { return const_cast<Tracer*>(this)->cell_of(s); }
  Cell& new_cell(const Tensor& t);
  void set_mark(TensorImpl* t, int value, int version);
  // `t` is result `value` of the node that is recorded.
  void add_made(const Tensor& t, int value, bool view);
  void drop_unused();
  bool is_shared_with_others(const Tensor& t) const;
  bool is_changed(const Tensor& t) const;
  int snapshot(const Tensor& t);
  void write(const Tensor& target, int value);
  int shown(const Cell& cell, const Tensor& t);
  bool makes_view(const OpCall& call, const TensorMeta& meta);
  bool has_gradient(std::span<const int> values) const;
  bool is_on_path(const TraceNode& node, const std::vector<bool>& reached) const;
  bool covers(const Cell& cell, const Tensor& t) const;
  std::array<Attr, 3> geometry(const Cell& cell, const Tensor& t) const;
  std::vector<bool> reached_from(std::span<const int> roots) const;
  std::vector<int> leaves_of(const GradientPath& path, int root) const;
  void release(std::span<const int> roots);
  void accumulate(std::span<const int> leaves, std::span<const Tensor> gradients);

  uint64_t number_;
  std::unique_ptr<Trace> trace_;
  std::vector<int> inputs_;
  std::vector<int> own_leaves_;  // values that `make_leaf` made
  std::vector<TraceAlias> aliases_;
  std::vector<Tensor> layouts_;
  std::vector<GradChange> grads_;
  std::set<const TensorImpl*> spared_;
  size_t most_made_;  // before those that nobody uses are dropped
  std::optional<Device> device_;
  bool following_;
  Follower* follower_ = nullptr;
  const TracePaths* paths_ = nullptr;
  const Trace* path_ = nullptr;  // that of them which came last
  Tracer* outer_ = nullptr;
  bool running_ = false;
};

// True where no recorded op, of the tape or of a running capture, made `t`.
bool is_leaf(const Tensor& t);
// Whether `t` has a gradient, also where a change in place made it so.
bool requires_grad(const Tensor& t);
// An error where `t` is of a capture that ended without giving it a value, or of another thread's.
[[noreturn]] void refuse_unmade();
inline void expect_value(const Tensor& t) {
  if (t && t.is_traced() && t.numel() > 0) refuse_unmade();
}

}  // namespace ostinato
