#include "autograd/order.hpp"

#include <algorithm>

namespace ostinato {

Order order_of(std::span<const Tensor> roots) {
  Order order;
  std::vector<Node*>& nodes = order.nodes;
  auto meet = [&](Node* n) {
    if (n && order.position.try_emplace(n).second) nodes.push_back(n);
  };
  for (const Tensor& root : roots) meet(autograd_state(root).node.get());
  for (size_t i = 0; i < nodes.size(); ++i) {
    for (const Edge& e : nodes[i]->edges) meet(e.node.get());
  }
  std::stable_sort(nodes.begin(), nodes.end(),
                   [](const Node* a, const Node* b) { return a->time > b->time; });
  for (size_t i = 0; i < nodes.size(); ++i) order.position[nodes[i]] = static_cast<int>(i);
  return order;
}

}  // namespace ostinato
