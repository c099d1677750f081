#include "autograd/tape.hpp"

#include "autograd/view.hpp"
#include "dispatch/op_table.hpp"

namespace ostinato {
namespace {

thread_local bool grad_on = true;
thread_local CallSite current_site;
thread_local uint64_t clock = 0;
SiteText site_text = nullptr;
SiteCopy site_copy = nullptr;
SiteRelease site_release = nullptr;

// What the gradient loops of a pointwise op read, for the operands that `wants` holds for: g, the
// result, then the operands, a bit each.
template <class Wants>
uint32_t gradient_uses(const OpCall& call, int variant, DType compute, Wants wants) {
  uint32_t uses = 0;
  for (size_t i = 0; i < call.operands.size(); ++i) {
    if (!wants(i)) continue;
    const PointwiseEntry* e =
        call.op->pointwise->find_gradient(variant, static_cast<int>(i), compute);
    if (e) uses |= e->uses;
  }
  return uses;
}

// The saved slots of a pointwise op: what its gradient loops read besides g.
void save_pointwise(Node& node, const OpCall& call, std::span<Tensor> results) {
  node.variant = call.op->pointwise->variant_of(call);
  node.compute = compute_dtype(call);
  const uint32_t uses = gradient_uses(call, node.variant, node.compute,
                                      [&](size_t i) { return static_cast<bool>(node.edges[i]); });
  if (uses >> 1 & 1) save(node, 1, results[0]);
  for (size_t i = 0; i < call.operands.size(); ++i) {
    if (uses >> (2 + i) & 1) save(node, static_cast<int>(2 + i), call.operands[i]);
  }
}

void save_for_program(Node& node, const OpCall& call, std::span<Tensor> results) {
  Flags given;
  for (const Tensor& t : results) given.push_back(is_float(t.dtype()));
  node.gradient = &find_program(node.gradient_key(given));
  int r = static_cast<int>(results.size());
  for (int i = 0; i < r; ++i) {
    if (node.gradient->reads[r + i]) save(node, r + i, results[i]);
  }
  for (size_t i = 0; i < call.operands.size(); ++i) {
    int slot = 2 * r + static_cast<int>(i);
    if (node.gradient->reads[slot]) save(node, slot, call.operands[i]);
  }
}

// Where the cotangents of the operands go; false where none goes anywhere.
bool find_edges(Node& node, const OpCall& call) {
  bool any = false;
  for (size_t i = 0; i < call.operands.size(); ++i) {
    bool has_rule =
        call.op->kind != OpKind::pointwise || call.op->pointwise->differentiable >> i & 1;
    node.edges.push_back(has_rule ? edge_of(call.operands[i]) : Edge{});
    any |= static_cast<bool>(node.edges.back());
  }
  return any;
}

}  // namespace

bool saves_values(const OpCall& call) {
  if (call.op->view) return false;
  if (call.op->kind != OpKind::pointwise) return true;
  return gradient_uses(call, call.op->pointwise->variant_of(call), compute_dtype(call),
                       [&](size_t i) {
                         const Tensor& t = call.operands[i];
                         return t && t->requires_grad;
                       }) > 1;
}

void destroy_autograd(AutogradState* state) { delete state; }

bool grad_enabled() { return grad_on; }
void set_grad_enabled(bool on) { grad_on = on; }
CallSite& call_site() { return current_site; }
void set_site_functions(SiteText text, SiteCopy copy, SiteRelease release) {
  site_text = text;
  site_copy = copy;
  site_release = release;
}
std::string text_of(const CallSite& site) { return site.code ? site_text(site) : "unknown line"; }
CallSite copy_of(const CallSite& site) { return site.code ? site_copy(site) : CallSite(); }
void let_go(CallSite& site) {
  if (site.code) site_release(site);
}

void Node::destroy(Node* n) {
  // A long chain of nodes is taken apart here, not by recursion.
  std::vector<Ref<Node>> pending;
  auto detach_edges = [&](Node* m) {
    for (Edge& e : m->edges) {
      if (e.node && e.node->use_count() == 1) pending.push_back(std::move(e.node));
    }
  };
  detach_edges(n);
  let_go(n->site);
  delete n;
  while (!pending.empty()) {
    Ref<Node> last = std::move(pending.back());
    pending.pop_back();
    detach_edges(last.get());
  }
}

bool needs_grad(std::span<const Tensor> operands) {
  if (!grad_on) return false;
  for (const Tensor& t : operands) {
    if (t && (t->requires_grad || follows_base(t))) return true;
  }
  return false;
}

AutogradState& autograd_state(const Tensor& t) {
  if (!t->autograd) t->autograd = new AutogradState;
  return *t->autograd;
}

Edge edge_of(const Tensor& t) {
  if (t && follows_base(t)) refresh(t);
  if (!t || !t->requires_grad) return {};
  AutogradState& state = autograd_state(t);
  if (state.node) return {state.node, state.index, {}};
  return {{}, 0, t};
}

void save(Node& node, int slot, const Tensor& value) {
  if (!value) return;
  uint32_t version = value->storage ? value->storage->version() : 0;
  node.saved.push_back({slot, detached(value), version});
}

void seal(Node& node) {
  for (const Edge& e : node.edges) {
    if (e.node) clock = std::max(clock, e.node->time);
  }
  node.time = ++clock;  // Lamport's clock
  uint64_t hash =
      mix(node.op ? node.op->id : op_count(), reinterpret_cast<uintptr_t>(node.gradient));
  hash = mix(hash, static_cast<uint64_t>(node.variant) << 8 | static_cast<uint64_t>(node.compute));
  if (!node.gradient) {  // which stands for the op, its attributes and patterns
    for (const Pattern& p : node.patterns) hash = mix(hash, p.bits());
  }
  for (const Edge& e : node.edges) {
    uint64_t to = e.node ? e.node->hash + static_cast<uint64_t>(e.index) : e.leaf ? 1 : 0;
    hash = mix(hash, to);
  }
  node.hash = hash;
}

std::string text_of(const Node& node) {
  std::string name = node.op ? std::string(node.op->name) : node.function->name();
  return name + " at " + text_of(node.site);
}

void refuse_released(const Node& node) {
  throw Error(ErrorKind::gradient,
              "backward: the saved tensors of " + text_of(node) +
                  " are gone, since backward ran before; pass retain_graph=True to the first");
}

void attach(const Tensor& t, Ref<Node> node, int index) {
  t->requires_grad = true;
  AutogradState& state = autograd_state(t);
  state.node = std::move(node);
  state.index = index;
}

Tensor detached(const Tensor& t) {
  Tensor alias = as_view(t, t.sizes(), t.strides(), t->storage ? t->offset : 0);
  alias->wrapped = t->wrapped;
  return alias;
}

ProgramKey Node::gradient_key(const Flags& given) const {
  ProgramKey key{ProgramKind::gradient, op, operands(), results(), attrs, {}, given};
  for (const Edge& e : edges) key.wanted.push_back(static_cast<bool>(e));
  return key;
}

void record(const OpCall& call, std::span<Tensor> results) {
  if (!is_differentiable(*call.op)) return;
  Ref<Node> node(new Node);
  node->op = call.op;
  node->edges.reserve(call.operands.size());
  if (!find_edges(*node, call)) return;
  node->attrs.assign(call.attrs.begin(), call.attrs.end());
  node->operand_sizes.reserve(call.operands.size());
  for (const Tensor& t : call.operands) {
    node->patterns.push_back(Pattern(t));
    node->operand_sizes.push_back(t ? t.sizes() : Sizes{});
  }
  for (const Tensor& r : results) {
    node->patterns.push_back(Pattern(r));
    node->result_sizes.push_back(r.sizes());
  }
  if (call.op->kind == OpKind::pointwise)
    save_pointwise(*node, call, results);
  else
    save_for_program(*node, call, results);
  node->device = results[0].device();
  seal(*node);
  std::swap(node->site, current_site);
  for (size_t i = 0; i < results.size(); ++i) {
    if (is_float(results[i].dtype())) attach(results[i], node, static_cast<int>(i));
  }
}

}  // namespace ostinato
