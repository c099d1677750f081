// Where a view lies among the elements of another tensor.
#pragma once
#include <optional>

#include "core/tensor.hpp"

namespace ostinato {

struct Place {
  Sizes strides;
  int64_t offset;
};

// The strides and the offset at which `view` shows the elements of `root`, counted in row-major
// order; none where it shows others, or where elements of `root` share memory.
std::optional<Place> place_among(const Tensor& root, const Tensor& view);

}  // namespace ostinato
