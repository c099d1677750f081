// What a visit of a node does to the tape, in the node walk and in Programs of whole tapes alike.
#pragma once
#include "autograd/tape.hpp"

namespace ostinato {

// GradientError where the saved tensors are gone, or one was changed in place.
void check_saved(const Node& node);
void release(Node& node);
// Adds to the grad of `leaf`; with `create_graph` in a way that the tape records.
void add_to_grad(const Tensor& leaf, Tensor cotangent, bool create_graph);

}  // namespace ostinato
