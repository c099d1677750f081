#include <cmath>
#include <cstring>
#include <unordered_map>

#include "autograd/tape.hpp"
#include "dispatch/op_table.hpp"
#include "dispatch/shape_rules.hpp"
#include "ops.hpp"
#include "program/program.hpp"

namespace ostinato {
namespace {

// Cotangents of the results of a node, as they come in.
struct Incoming {
  std::vector<Tensor> cotangents;
  int waiting = 0;  // uses that have not delivered yet
};

class Backward {
 public:
  Backward(std::span<const Tensor> inputs, const BackwardOptions& options)
      : inputs_(inputs), options_(options), found_(inputs.size()) {}

  std::vector<Tensor> run(std::span<const Tensor> roots, std::span<const Tensor> seeds) {
    for (const Tensor& root : roots) count_uses(root);
    for (size_t i = 0; i < roots.size(); ++i) deliver(edge_of_root(roots[i]), seeds[i]);
    for (const Tensor& root : roots) {
      AutogradState& state = autograd_state(root);
      if (state.node && --incoming_[state.node.get()].waiting == 0) ready_.push_back(state.node);
    }
    while (!ready_.empty()) {
      Ref<Node> node = std::move(ready_.back());
      ready_.pop_back();
      visit(node);
    }
    return std::move(found_);
  }

 private:
  Edge edge_of_root(const Tensor& root) {
    AutogradState& state = autograd_state(root);
    return state.node ? Edge{state.node, state.index, {}} : Edge{{}, 0, root};
  }

  // How many edges lead to each node that the root can reach.
  void count_uses(const Tensor& root) {
    AutogradState& state = autograd_state(root);
    if (!state.node) return;
    std::vector<Node*> stack;
    auto meet = [&](Node* n) {
      auto [it, fresh] = incoming_.try_emplace(n);
      ++it->second.waiting;
      if (!fresh) return;
      it->second.cotangents.resize(n->result_sizes.size());
      stack.push_back(n);
    };
    meet(state.node.get());
    while (!stack.empty()) {
      Node* n = stack.back();
      stack.pop_back();
      for (const Edge& e : n->edges) {
        if (e.node) meet(e.node.get());
      }
    }
  }

  Tensor sum(const Tensor& a, const Tensor& b) {
    Tensor pair[] = {a, b};
    return options_.create_graph ? call_op(op_info(op::add), pair) : run_op(op_info(op::add), pair);
  }

  void deliver(const Edge& edge, const Tensor& cotangent) {
    if (!cotangent) return;
    for (size_t i = 0; i < inputs_.size(); ++i) {
      const AutogradState* state = inputs_[i]->autograd;
      bool hit = edge.leaf ? edge.leaf.same(inputs_[i])
                           : state && state->node == edge.node && state->index == edge.index;
      if (hit) found_[i] = found_[i] ? sum(found_[i], cotangent) : cotangent;
    }
    if (edge.leaf) {
      if (inputs_.empty()) accumulate(edge.leaf, cotangent);
      return;
    }
    Tensor& slot = incoming_[edge.node.get()].cotangents[edge.index];
    slot = slot ? sum(slot, cotangent) : cotangent;
  }

  // A grad is a tensor of its own: it is later added to in place.
  void accumulate(const Tensor& leaf, const Tensor& cotangent) {
    Tensor& grad = autograd_state(leaf).grad;
    if (!grad) {
      bool shared = cotangent->use_count() > 1 || !cotangent.contiguous() ||
                    cotangent->storage->use_count() > 1;
      grad = shared && !options_.create_graph ? clone(cotangent) : cotangent;
    } else if (options_.create_graph) {
      grad = sum(grad, cotangent);
    } else {
      Tensor pair[] = {grad, cotangent};
      call_op_inplace(op_info(op::add), pair, {});
    }
  }

  static Tensor clone(const Tensor& t) {
    Tensor out = empty(t.sizes(), t.dtype());
    copy_into(out, t);
    return out;
  }

  void visit(const Ref<Node>& node) {
    Incoming in = std::move(incoming_[node.get()]);
    bool any = false;
    for (const Tensor& c : in.cotangents) any |= static_cast<bool>(c);
    std::vector<Tensor> out(node->edges.size());
    if (any) {
      check(*node);
      if (node->gradient)
        run_gradient(*node, in.cotangents, out.data());
      else
        run_pointwise_gradient(*node, in.cotangents[0], out.data());
      if (anomaly_enabled()) look_for_nan(*node, out);
    }
    for (size_t i = 0; i < out.size(); ++i) {
      const Edge& e = node->edges[i];
      if (e) deliver(e, out[i]);
      if (e.node && --incoming_[e.node.get()].waiting == 0) ready_.push_back(e.node);
    }
    if (!options_.retain) {
      node->saved.clear();
      node->released = true;
    }
  }

  void check(const Node& node) {
    std::string at = std::string(node.op->name) + " at " + text_of(node.site);
    if (node.released) {
      throw Error(ErrorKind::gradient,
                  "backward: the saved tensors of " + at +
                      " are gone, since backward ran before; pass retain_graph=True to the first");
    }
    for (const Saved& s : node.saved) {
      if (s.value->storage && s.value->storage->version() != s.version) {
        throw Error(ErrorKind::gradient,
                    "backward: a tensor that " + at +
                        " saved was changed in place afterwards; change a clone() instead");
      }
    }
  }

  // Saved values by slot; for a gradient of a gradient they are tied to the tape again.
  std::vector<Tensor> slots_of(Node& node, std::span<Tensor> cotangents) {
    int r = static_cast<int>(node.result_sizes.size());
    std::vector<Tensor> slots(2 * r + node.edges.size());
    for (int i = 0; i < r; ++i) slots[i] = cotangents[i];
    for (const Saved& s : node.saved) {
      Tensor value = s.value;
      if (options_.create_graph) value = tied(node, s, r);
      slots[s.slot] = value;
    }
    return slots;
  }

  Tensor tied(Node& node, const Saved& s, int r) {
    Tensor value = detached(s.value);
    if (s.slot < 2 * r) {
      attach(value, Ref<Node>(&node), s.slot - r);
    } else if (const Edge& e = node.edges[s.slot - 2 * r]; e.node) {
      attach(value, e.node, e.index);
    } else if (e.leaf) {
      return e.leaf;
    }
    return value;
  }

  static void attach(const Tensor& t, Ref<Node> node, int index) {
    t->requires_grad = true;
    AutogradState& state = autograd_state(t);
    state.node = std::move(node);
    state.index = index;
  }

  void run_gradient(Node& node, std::span<Tensor> cotangents, Tensor* out) {
    for (size_t i = 0; i < cotangents.size(); ++i) {
      if (!cotangents[i] && node.gradient->reads >> i & 1) {
        cotangents[i] = zeros(node.result_sizes[i], node.result_dtypes[i]);
      }
    }
    std::vector<Tensor> slots = slots_of(node, cotangents);
    CallShapes shapes{node.operand_sizes, node.result_sizes, node.attrs};
    run_program(*node.gradient, slots, shapes, options_.create_graph, out);
  }

  static Tensor zeros(const Sizes& sizes, DType dtype) {
    Tensor t = empty(sizes, dtype);
    std::memset(t.bytes(), 0, static_cast<size_t>(t.numel()) * size_of(dtype));
    return t;
  }

  void run_pointwise_gradient(Node& node, const Tensor& g, Tensor* out) {
    if (options_.create_graph) {
      OpCall call = call_of(node);
      const Program& p = find_program(ProgramKind::gradient, call, dummy_results_, node.wanted);
      node.gradient = &p;
      Tensor cotangent[] = {g};
      run_gradient(node, cotangent, out);
      return;
    }
    Tensor cotangent[] = {g};
    std::vector<Tensor> slots = slots_of(node, cotangent);
    const PointwiseOp& p = *node.op->pointwise;
    for (size_t i = 0; i < node.edges.size(); ++i) {
      if (!node.edges[i]) continue;
      const PointwiseEntry* e = p.find_gradient(node.variant, static_cast<int>(i), node.compute);
      if (e) out[i] = gradient_of(node, *e, slots, i);
    }
  }

  static Tensor gradient_of(const Node& node, const PointwiseEntry& e,
                            std::span<const Tensor> slots, size_t operand) {
    Tensor made = slots[0];
    if (e.inner) {
      std::vector<Tensor> args;
      uint32_t uncast = 0;
      for (size_t s = 0; s < slots.size(); ++s) {
        if (!(e.uses >> s & 1)) continue;
        bool raw = s >= 2 && node.op->pointwise->uncast >> (s - 2) & 1;
        uncast |= static_cast<uint32_t>(raw) << args.size();
        args.push_back(slots[s]);
      }
      bool same = node.operand_sizes[operand] == node.result_sizes[0];
      made = empty(node.result_sizes[0], same ? node.operand_dtypes[operand] : node.compute);
      run_pointwise({e.inner, e.compute, e.produces, uncast}, {&made, 1}, args);
    }
    return reduce_to(made, node.operand_sizes[operand], node.operand_dtypes[operand]);
  }

  // Sums over the axes that were broadcast.
  static Tensor reduce_to(Tensor t, const Sizes& sizes, DType dtype) {
    if (t.sizes() != sizes) {
      int lead = t.ndim() - sizes.ssize();
      Sizes axes;
      for (int i = 0; i < t.ndim(); ++i) {
        if (i < lead || (sizes[i - lead] == 1 && t.size(i) != 1)) axes.push_back(i);
      }
      if (!axes.empty()) {
        Attr attrs[] = {Attr(axes), Attr(true)};
        t = run_op(op_info(op::sum), {&t, 1}, attrs);
      }
      Attr shape[] = {Attr(sizes)};
      t = run_op(op_info(op::reshape), {&t, 1}, shape);
    }
    if (t.dtype() != dtype) {
      Tensor cast = empty(t.sizes(), dtype);
      copy_into(cast, t);
      return cast;
    }
    return t;
  }

  // The call again, as far as its structure goes: tensors without memory.
  OpCall call_of(Node& node) {
    dummy_operands_.clear();
    dummy_results_.clear();
    for (size_t i = 0; i < node.operand_sizes.size(); ++i) {
      dummy_operands_.push_back(shape_only(node.operand_sizes[i], node.operand_dtypes[i]));
      dummy_operands_.back()->wrapped = node.wrapped >> i & 1;
    }
    for (size_t i = 0; i < node.result_sizes.size(); ++i) {
      dummy_results_.push_back(shape_only(node.result_sizes[i], node.result_dtypes[i]));
    }
    return {node.op, dummy_operands_, node.attrs};
  }

  void look_for_nan(const Node& node, std::span<const Tensor> out) {
    for (const Tensor& t : out) {
      if (!t || !is_float(t.dtype())) continue;
      Tensor total = run_op(op_info(op::sum), {&t, 1}, std::vector<Attr>{Attr(), Attr(false)});
      if (std::isnan(total.item_double())) {
        throw Error(ErrorKind::gradient, std::string("backward: the gradient of ") + node.op->name +
                                             " at " + text_of(node.site) +
                                             " holds NaN; look at the values that it saved");
      }
    }
  }

  std::span<const Tensor> inputs_;
  BackwardOptions options_;
  std::vector<Tensor> found_;
  std::unordered_map<Node*, Incoming> incoming_;
  std::vector<Ref<Node>> ready_;
  std::vector<Tensor> dummy_operands_, dummy_results_;
};

}  // namespace

std::vector<Tensor> backward(std::span<const Tensor> roots, std::span<const Tensor> seeds,
                             std::span<const Tensor> inputs, const BackwardOptions& options) {
  bool before = grad_enabled();
  set_grad_enabled(options.create_graph);
  struct Restore {
    bool on;
    ~Restore() { set_grad_enabled(on); }
  } restore{before};
  return Backward(inputs, options).run(roots, seeds);
}

}  // namespace ostinato
