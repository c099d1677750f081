// The nodes that backward visits, in order.
#pragma once
#include <unordered_map>

#include "autograd/tape.hpp"

namespace ostinato {

struct Order {
  std::vector<Node*> nodes;  // later ones first, so each before those that its edges lead to
  std::unordered_map<const Node*, int> position;  // in `nodes`
};
// All nodes that the results `roots` were computed by.
Order order_of(std::span<const Tensor> roots);

}  // namespace ostinato
