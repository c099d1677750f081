#include "autograd/structure.hpp"

#include <algorithm>

namespace ostinato {
namespace {

using Edge = TapeStructure::Edge;

// The position among `inputs` of a leaf.
int input_of(const Tensor& leaf, std::span<const Tensor> inputs) {
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (leaf.same(inputs[i])) return static_cast<int>(i);
  }
  return TapeStructure::kNone;
}

const Node* node_of(const Tensor& t) { return t->autograd ? t->autograd->node.get() : nullptr; }

}  // namespace

std::optional<TapeStructure> TapeStructure::of(const TapeRequest& request, const Order& order) {
  if (order.nodes.size() > kMostNodes) return {};
  TapeStructure s;
  s.root_index_ = request.root->autograd->index;
  for (const Node* n : order.nodes) {
    if (!s.nodes_.empty() && n->time >= order.nodes[s.nodes_.size() - 1]->time) return {};
    s.nodes_.push_back({n->op, n->gradient, n->variant, n->compute, n->patterns,
                        n->function ? n->function->reach() : Reach(), s.edges_.size(),
                        n->edges.size()});
    for (const ostinato::Edge& e : n->edges) {
      if (e.node) {
        s.edges_.push_back({order.position.at(e.node.get()), e.index});
      } else {
        s.edges_.push_back(e.leaf ? Edge{kLeaf, 0, input_of(e.leaf, request.inputs)} : Edge{});
      }
    }
  }
  for (size_t k = 0; k < s.nodes_.size(); ++k) {
    for (size_t i = 0; i < s.nodes_[k].edges; ++i) {
      int to = s.edges(k)[i].to;
      if (to < 0 || s.nodes_[to].parent >= 0) continue;
      s.nodes_[to].parent = static_cast<int>(k);
      s.nodes_[to].edge = static_cast<int>(i);
    }
  }
  for (const Tensor& t : request.inputs) {
    auto at = order.position.find(node_of(t));
    if (at != order.position.end()) {
      s.inputs_.push_back({at->second, t->autograd->index});
    } else {
      s.inputs_.push_back({node_of(t) ? kNone : kLeaf, 0});
    }
  }
  return s;
}

bool TapeStructure::is_like(const Vertex& vertex, const Node& node) {
  // A gradient Program stands for the op, its attributes and patterns.
  return vertex.op == node.op && vertex.gradient == node.gradient &&
         vertex.edges == node.edges.size() &&
         (!node.function || vertex.reach == node.function->reach()) &&
         (node.gradient || (vertex.variant == node.variant && vertex.compute == node.compute &&
                            vertex.patterns == node.patterns));
}

bool TapeStructure::finds_nodes(const TapeRequest& request, std::vector<Node*>& nodes) const {
  nodes.resize(nodes_.size());
  for (size_t k = 0; k < nodes_.size(); ++k) {
    const Vertex& v = nodes_[k];
    nodes[k] = v.parent < 0 ? request.root->autograd->node.get()
                            : nodes[v.parent]->edges[v.edge].node.get();
    // Times fall, so no node is found twice.
    if (!nodes[k] || !is_like(v, *nodes[k]) || (k > 0 && nodes[k]->time >= nodes[k - 1]->time)) {
      return false;
    }
  }
  return true;
}

bool TapeStructure::has_edges(const TapeRequest& request, std::span<Node* const> nodes) const {
  const Edge* expected = edges_.data();
  for (const Node* n : nodes) {
    for (const ostinato::Edge& e : n->edges) {
      const Edge& want = *expected++;
      if (want.to >= 0) {
        if (e.node.get() != nodes[want.to] || e.index != want.index) return false;
      } else if (want.to == kNone) {
        if (e) return false;
      } else if (!e.leaf || want.input != input_of(e.leaf, request.inputs)) {
        return false;
      }
    }
  }
  return true;
}

bool TapeStructure::has_inputs(const TapeRequest& request, std::span<Node* const> nodes) const {
  for (size_t i = 0; i < inputs_.size(); ++i) {
    const Place& place = inputs_[i];
    const Node* node = node_of(request.inputs[i]);
    if (place.to >= 0) {
      if (node != nodes[place.to] || request.inputs[i]->autograd->index != place.index)
        return false;
    } else if (place.to == kLeaf) {
      if (node) return false;
    } else if (!node || std::find(nodes.begin(), nodes.end(), node) != nodes.end()) {
      return false;
    }
  }
  return true;
}

bool TapeStructure::matches(const TapeRequest& request, std::vector<Node*>& nodes) const {
  return request.root->autograd->index == root_index_ && request.inputs.size() == inputs_.size() &&
         finds_nodes(request, nodes) && has_edges(request, nodes) && has_inputs(request, nodes);
}

uint64_t hash_of(const TapeRequest& request) {
  const AutogradState& root = *request.root->autograd;
  uint64_t hash = mix(root.node->hash, static_cast<uint64_t>(root.index));
  for (const Tensor& t : request.inputs) {
    const Node* node = node_of(t);
    hash = mix(hash, node ? mix(node->hash, static_cast<uint64_t>(t->autograd->index)) : 1);
  }
  return hash;
}

}  // namespace ostinato
