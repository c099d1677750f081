// The cotangent of a tensor of which several elements along an axis were selected.
#pragma once
#include <span>

#include "core/tensor.hpp"

namespace ostinato {

// The sum of tensors of `sizes` that are zeros but for one of `parts` each, at its index along
// `dim`: the same bits as those additions one after the other, without their tensors.
Tensor sum_selected(std::span<const Tensor> parts, int64_t dim, const Sizes& sizes,
                    const Sizes& indices);

}  // namespace ostinato
