#include "autograd/walk.hpp"

#include <bit>
#include <optional>

#include "autograd/anomaly.hpp"
#include "autograd/order.hpp"
#include "autograd/visit.hpp"
#include "ops.hpp"
#include "program/pointwise_gradient.hpp"

namespace ostinato {
namespace {

class Walk {
 public:
  Walk(std::span<const Tensor> inputs, const BackwardOptions& options)
      : inputs_(inputs), options_(options), found_(inputs.size()) {}

  std::vector<Tensor> run(std::span<const Tensor> roots, std::span<const Tensor> seeds) {
    order_ = order_of(roots);
    size_t results = 0;
    for (const Node* n : order_.nodes) {
      first_.push_back(results);
      results += n->result_sizes.size();
    }
    cotangents_.resize(results);
    for (size_t i = 0; i < roots.size(); ++i) {
      AutogradState& state = autograd_state(roots[i]);
      deliver(state.node ? Edge{state.node, state.index, {}} : Edge{{}, 0, roots[i]}, seeds[i]);
    }
    for (Node* n : order_.nodes) visit(*n);
    return std::move(found_);
  }

 private:
  std::span<Tensor> cotangents_of(const Node& node) {
    return {&cotangents_[first_[order_.position.at(&node)]], node.result_sizes.size()};
  }

  Tensor sum(const Tensor& a, const Tensor& b) {
    Tensor pair[] = {a, b};
    return options_.create_graph ? call_op(op_info(op::add), pair) : run_op(op_info(op::add), pair);
  }

  void deliver(const Edge& edge, Tensor cotangent) {
    if (!cotangent) return;
    for (size_t i = 0; i < inputs_.size(); ++i) {
      const AutogradState* state = inputs_[i]->autograd;
      bool hit = edge.leaf ? edge.leaf.same(inputs_[i])
                           : state && state->node == edge.node && state->index == edge.index;
      if (hit) found_[i] = found_[i] ? sum(found_[i], cotangent) : cotangent;
    }
    if (edge.leaf) {
      if (inputs_.empty()) add_to_grad(edge.leaf, std::move(cotangent), options_.create_graph);
      return;
    }
    Tensor& slot = cotangents_of(*edge.node)[edge.index];
    slot = slot ? sum(slot, cotangent) : std::move(cotangent);
  }

  void visit(Node& node) {
    std::span<Tensor> in = cotangents_of(node);
    if (std::any_of(in.begin(), in.end(), [](const Tensor& c) { return static_cast<bool>(c); })) {
      check_saved(node);
      std::vector<Tensor> out(node.edges.size());
      std::optional<LookedAt> looked_at;
      if (looks_for_anomaly()) looked_at.emplace(in);
      if (node.function)
        run_function(node, in, out.data());
      else if (node.gradient || options_.create_graph)
        run_gradient(node, in, out.data());
      else
        run_pointwise_gradient(node, in[0], out.data());
      if (looked_at) look_at(node, *looked_at, out);
      for (size_t i = 0; i < out.size(); ++i) {
        if (node.edges[i]) deliver(node.edges[i], std::move(out[i]));
      }
      for (Tensor& c : in) c = Tensor();
    }
    if (!options_.retain) release(node);
  }

  // The gradient Program of the cotangents that came; that of all results is found already.
  const Program& program_of(const Node& node, std::span<const Tensor> cotangents) {
    Flags given;
    bool all = true;
    for (size_t i = 0; i < cotangents.size(); ++i) {
      given.push_back(static_cast<bool>(cotangents[i]));
      all &= given[i] || !is_float(node.results()[i].dtype());
    }
    return all && node.gradient ? *node.gradient : find_program(node.gradient_key(given));
  }

  // Saved values by slot; for a gradient of a gradient they are tied to the tape again.
  std::vector<Tensor> slots_of(Node& node, std::span<Tensor> cotangents) {
    int r = static_cast<int>(node.result_sizes.size());
    std::vector<Tensor> slots(2 * r + node.edges.size());
    for (int i = 0; i < r; ++i) slots[i] = std::move(cotangents[i]);
    for (const Saved& s : node.saved) {
      slots[s.slot] = options_.create_graph ? tied(node, s, r) : s.value;
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

  void run_function(const Node& node, std::span<const Tensor> cotangents, Tensor* out) {
    if (options_.create_graph) {
      throw Error(ErrorKind::gradient,
                  "backward: create_graph=True leads through " + text_of(node) +
                      ", whose gradient cannot be differentiated again; call that function "
                      "uncompiled, or take both gradients inside of it");
    }
    node.function->run(node, cotangents, out);
  }

  void run_gradient(Node& node, std::span<Tensor> cotangents, Tensor* out) {
    const Program& program = program_of(node, cotangents);
    std::vector<Tensor> slots = slots_of(node, cotangents);
    CallShapes shapes{node.operand_sizes, node.result_sizes, node.attrs};
    run_program(program, slots, {&shapes, 1}, options_.create_graph, out);
  }

  void run_pointwise_gradient(Node& node, Tensor& g, Tensor* out) {
    std::vector<Tensor> slots = slots_of(node, {&g, 1});
    const PointwiseOp& p = *node.op->pointwise;
    std::vector<Tensor> args;
    for (size_t i = 0; i < node.edges.size(); ++i) {
      if (!node.edges[i]) continue;
      const PointwiseEntry* e = p.find_gradient(node.variant, static_cast<int>(i), node.compute);
      if (!e) continue;
      args.clear();
      for (uint32_t left = e->uses; left; left &= left - 1) {
        args.push_back(slots[std::countr_zero(left)]);
      }
      out[i] = pointwise_gradient(
          {*e, p.uncast, node.result_sizes[0], node.operand_sizes[i], node.patterns[i].dtype()},
          args);
    }
  }

  static void look_at(const Node& node, const LookedAt& looked_at, std::span<const Tensor> out) {
    looked_at.check_gradient(text_of(node),
                             node.function
                                 ? "call it within detect_anomaly as well, which then names the op"
                                 : "look at the values that it saved",
                             out);
  }

  std::span<const Tensor> inputs_;
  BackwardOptions options_;
  std::vector<Tensor> found_;
  Order order_;
  std::vector<size_t> first_;       // of a node's results in `cotangents_`
  std::vector<Tensor> cotangents_;  // as they come in
};

}  // namespace

std::vector<Tensor> walk(std::span<const Tensor> roots, std::span<const Tensor> seeds,
                         std::span<const Tensor> inputs, const BackwardOptions& options) {
  return Walk(inputs, options).run(roots, seeds);
}

}  // namespace ostinato
