// What a capture has recorded: values, the ops between them, and the storages that they lie in.
#pragma once
#include <memory>
#include <vector>

#include "autograd/tape.hpp"
#include "core/pointer_map.hpp"
#include "dispatch/op_call.hpp"
#include "trace/digest.hpp"

namespace ostinato {

struct TraceValue {
  enum class Kind : uint8_t { result, input, number } kind;
  TensorMeta meta;
  bool wrapped = false;  // a Python number
  bool requires_grad = false;
  Tensor tensor = {};  // of an input or number: the tensor; of a result: what user code holds
};

inline TensorMeta meta_of(const Tensor& t) { return {t.dtype(), t.sizes(), t.device()}; }

// Neighbours in one of the lists of a trace.
struct Part {
  uint32_t first;
  uint32_t count;
};

// What the user wants of the ops that this thread records: positive where they are to be one
// kernel, negative where they stay apart from all others, 0 for neither. No two blocks of code say
// so by the same number.
int64_t exchange_pin(int64_t pin);

struct TraceNode {
  const OpInfo* op;  // null: the gradients of operand 0, weighted by operand 1, for the others
  Part operands;     // value ids, -1 for an absent one
  Part results;
  Part attrs;
  CallSite site;  // whose code the trace keeps
  bool no_grad = false;
  int pin = 0;            // as above, but numbered within the trace
  bool saves = false;     // its gradient reads values
  bool released = false;  // a backward of the region ran over it and did not retain these
};

// The storage of some tensors of the trace.
struct TraceCell {
  TensorImpl* root;  // that first had it, and lives while another one shows it
  int input = -1;
  int value = -1;
  int version = 0;
  bool shared = false;    // two inputs are different views of this storage
  bool recorded = false;  // a change of it has a gradient
  bool reshaped = false;  // an op whose result is a view or a copy, as the layout has it
};

// A tensor that the capture made, and the value that it had then.
struct TraceMade {
  Tensor tensor;
  int value;
  bool view;
};

// What a tensor is a view of, and the node that made it.
struct TraceView {
  Tensor source;
  int node;
};

// Lists that only grow. One that was cleared keeps its memory for the next trace.
class Trace {
 public:
  Trace() = default;
  Trace(const Trace&) = delete;
  Trace& operator=(const Trace&) = delete;
  ~Trace() { clear(); }

  // A cleared one of this thread.
  static std::unique_ptr<Trace> take();
  static void give_back(std::unique_ptr<Trace> trace);
  // Lets go of tensors: what is left tells whether the same is recorded again.
  void let_go_of_tensors();

  std::span<const int> operands(const TraceNode& n) const { return ids_of(n.operands); }
  std::span<const int> results(const TraceNode& n) const { return ids_of(n.results); }
  std::span<const Attr> attrs(const TraceNode& n) const {
    return {attr_list.data() + n.attrs.first, n.attrs.count};
  }
  int add_value(TraceValue value);
  // A node without results yet, which are the ids that are added next.
  TraceNode& add_node(const OpInfo* op, std::span<const int> operands, std::span<const Attr> attrs,
                      const CallSite& site, bool no_grad, bool grad);
  void add_result(TraceNode& node, int value);
  // The node that comes next in `path`, with which this trace agrees so far, operands included.
  TraceNode& repeat_node(const Trace& path);
  // The pin of what is added now.
  int present_pin();
  // The first value that was added after `count` nodes, or one before it.
  size_t value_after(size_t count) const;

  std::vector<TraceValue> values;
  std::vector<TraceNode> nodes;
  std::vector<int> ids;
  std::vector<Attr> attr_list;
  std::vector<TraceCell> cells;
  std::vector<TraceMade> made;
  std::vector<Tensor> kept;                 // from outside
  PointerMap<Storage, int> given_cells;     // of storages from outside
  PointerMap<TensorImpl, TraceMark> given;  // tensors from outside
  PointerMap<TensorImpl, TraceView> views;
  PointerMap<TensorImpl, int> number_inputs;
  Digest digest;                // of all values and nodes
  std::vector<Digest> digests;  // of what there was with each node

 private:
  TraceNode& append(const OpInfo* op, std::span<const int> operands, std::span<const Attr> attrs,
                    const CallSite& site, bool no_grad, int pin);
  std::span<const int> ids_of(Part part) const { return {ids.data() + part.first, part.count}; }
  void keep(const CallSite& site);
  void clear();

  std::vector<CallSite> codes_;  // one for each code object, owned
  std::vector<int64_t> pins_;
};

// What was recorded at one place of a function, which is likely to come there again.
class TracePaths {
 public:
  // One whose first nodes are those of `trace`; null where there is none. `likely` is tried first.
  const Trace* find(const Trace& trace, const Trace* likely) const;
  bool is_full() const { return paths_.size() >= kMost; }
  void add(std::unique_ptr<const Trace> path) { paths_.push_back(std::move(path)); }

 private:
  static constexpr size_t kMost = 8;

  std::vector<std::unique_ptr<const Trace>> paths_;
};

}  // namespace ostinato
