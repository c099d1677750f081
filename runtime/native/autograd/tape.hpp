// The tape: nodes of recorded ops, and backward over them.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "core/tensor.hpp"
#include "dispatch/op_call.hpp"
#include "program/derived.hpp"

struct PyCodeObject;

namespace ostinato {

struct Node;

// Where a cotangent goes: to result `index` of `node`, or into `leaf`'s grad.
struct Edge {
  Ref<Node> node;
  int index = 0;
  Tensor leaf;
  explicit operator bool() const { return node || leaf; }
};

// The user's line that is running: an owned code object and an instruction offset.
struct CallSite {
  PyCodeObject* code = nullptr;
  int instruction = 0;
};

struct Saved {
  int slot;  // g..., results..., operands...: as a gradient Program numbers its inputs
  Tensor value;
  uint32_t version;
};

// For each result of a node, the edges that its cotangent leads to.
using Reach = std::vector<std::vector<int>>;

// The gradient of what is no op of the table; `autograd/region.hpp` has that of a compiled region.
class GradientFunction {
 public:
  virtual ~GradientFunction() = default;
  // What error texts call it.
  virtual std::string name() const = 0;
  virtual const Reach& reach() const = 0;
  // The cotangents of the node's edges, given those of its results (null where none came); null
  // for an edge that none of those given leads to.
  virtual void run(const Node& node, std::span<const Tensor> cotangents, Tensor* out) const = 0;
};

struct Node : RefCounted {
  static void destroy(Node* n);
  const OpInfo* op = nullptr;  // null where `function` is set
  std::shared_ptr<const GradientFunction> function;
  std::vector<Attr> attrs;
  std::vector<Edge> edges;  // one an operand; empty where it needs no gradient
  std::vector<Saved> saved;
  std::vector<Sizes> operand_sizes;
  std::vector<Sizes> result_sizes;
  SmallVector<Pattern, 6> patterns;   // of the operands, then of the results
  const Program* gradient = nullptr;  // null for pointwise ops, whose gradient kernels are printed
  int variant = 0;
  DType compute = DType::float32_;
  Device device = kCpu;  // of the results
  bool released = false;
  uint64_t time = 0;  // later than that of all that edges lead to, and of all before in the thread
  uint64_t hash = 0;  // of its structure and of all that its edges lead to
  CallSite site;

  std::span<const Pattern> operands() const { return {patterns.data(), edges.size()}; }
  std::span<const Pattern> results() const {
    return {patterns.data() + edges.size(), result_sizes.size()};
  }
  // The structural key of its gradient where the results in `given` have cotangents.
  ProgramKey gradient_key(const Flags& given) const;
};

// One more word in a hash.
constexpr uint64_t mix(uint64_t hash, uint64_t word) {
  hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
  return hash ^ hash >> 32;
}

struct AutogradState {
  Tensor grad;
  Ref<Node> node;
  int index = 0;
};

bool grad_enabled();
void set_grad_enabled(bool on);
// That of a scope.
class GradMode {
 public:
  explicit GradMode(bool on) : before_(grad_enabled()) { set_grad_enabled(on); }
  ~GradMode() { set_grad_enabled(before_); }
  GradMode(const GradMode&) = delete;
  GradMode& operator=(const GradMode&) = delete;

 private:
  bool before_;
};

// Set by the bindings: the innermost user line, and its text "file:line".
CallSite& call_site();
using SiteText = std::string (*)(const CallSite& site);
using SiteCopy = CallSite (*)(const CallSite& site);
using SiteRelease = void (*)(CallSite& site);
void set_site_functions(SiteText text, SiteCopy copy, SiteRelease release);
std::string text_of(const CallSite& site);
CallSite copy_of(const CallSite& site);
void let_go(CallSite& site);  // of one's own

bool needs_grad(std::span<const Tensor> operands);
// Whether the gradient of a recorded `call` reads values, so that a second backward needs them
// kept; in doubt it does.
bool saves_values(const OpCall& call);
AutogradState& autograd_state(const Tensor& t);
// Where the cotangent of `t` goes; none where it does not require grad.
Edge edge_of(const Tensor& t);
// Notes what the gradient reads in `slot`, and the version that it has now.
void save(Node& node, int slot, const Tensor& value);
// Makes `t` result `index` of `node`.
void attach(const Tensor& t, Ref<Node> node, int index);
// Sets time and hash of a node whose edges and patterns are known.
void seal(Node& node);
// "mul at train.py:7".
std::string text_of(const Node& node);
// Throws the error of a backward over a node whose saved tensors are gone.
[[noreturn]] void refuse_released(const Node& node);
// Another tensor on the same storage that the tape does not know.
Tensor detached(const Tensor& t);

// Puts a node on the tape and makes `results` its results.
void record(const OpCall& call, std::span<Tensor> results);

struct BackwardOptions {
  bool retain = false;
  bool create_graph = false;
};
// Adds the gradients of `roots` weighted by `seeds` into the grads of the leaves; or, with
// `inputs`, returns theirs (null where they play no part) and touches no grad.
std::vector<Tensor> backward(std::span<const Tensor> roots, std::span<const Tensor> seeds,
                             std::span<const Tensor> inputs, const BackwardOptions& options);

}  // namespace ostinato
