// The structure of a tape: what decides the Program of its backward.
#pragma once
#include <optional>

#include "autograd/order.hpp"

namespace ostinato {

// What backward was asked for: the gradients of one result, into the grads of leaves or, with
// `inputs`, theirs.
struct TapeRequest {
  const Tensor& root;
  std::span<const Tensor> inputs;
};

// Of the nodes that a request leads to: ops, attributes other than sizes, patterns, which gradients
// are wanted, how edges lead, in which order ops were recorded, and what of it the inputs are.
// Sizes and numbers are no part of it.
class TapeStructure {
 public:
  static constexpr int kLeaf = -1, kNone = -2;
  struct Edge {
    int to = kNone;     // a node's position, or the above
    int index = 0;      // of the node's result
    int input = kNone;  // of a leaf: the input that it is
    bool operator==(const Edge&) const = default;
  };
  // Where the cotangent of an input arises: as an edge, `kNone` where it plays no part.
  using Place = Edge;

  // Nothing for a tape of more than kMostNodes nodes, or one that two threads recorded at once.
  static constexpr size_t kMostNodes = 2048;
  static std::optional<TapeStructure> of(const TapeRequest& request, const Order& order);

  // Whether `request` has this structure; finds its nodes on the way, by position.
  bool matches(const TapeRequest& request, std::vector<Node*>& nodes) const;

  size_t size() const { return nodes_.size(); }
  int root_index() const { return root_index_; }
  std::span<const Edge> edges(size_t node) const {
    return {&edges_[nodes_[node].first_edge], nodes_[node].edges};
  }
  const std::vector<Place>& inputs() const { return inputs_; }

 private:
  struct Vertex {
    const OpInfo* op;
    const Program* gradient;
    int variant;
    DType compute;
    SmallVector<Pattern, 6> patterns;
    Reach reach;  // of a function
    size_t first_edge;
    size_t edges;
    int parent = -1;  // a node before this one, and its edge that leads here
    int edge = 0;
  };

  bool finds_nodes(const TapeRequest& request, std::vector<Node*>& nodes) const;
  static bool is_like(const Vertex& vertex, const Node& node);
  bool has_edges(const TapeRequest& request, std::span<Node* const> nodes) const;
  bool has_inputs(const TapeRequest& request, std::span<Node* const> nodes) const;

  int root_index_ = 0;
  std::vector<Vertex> nodes_;
  std::vector<Edge> edges_;
  std::vector<Place> inputs_;
};

// Equal for equal structures, and hardly ever for others: each node holds that of what it leads to.
uint64_t hash_of(const TapeRequest& request);

}  // namespace ostinato
