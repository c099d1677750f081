// Backward node by node.
#pragma once
#include "autograd/tape.hpp"

namespace ostinato {

// As `backward`; every kind of tape can be walked.
std::vector<Tensor> walk(std::span<const Tensor> roots, std::span<const Tensor> seeds,
                         std::span<const Tensor> inputs, const BackwardOptions& options);

}  // namespace ostinato
