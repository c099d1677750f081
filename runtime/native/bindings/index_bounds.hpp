// Indices among the inputs of a region, which are within bounds before it runs.
#pragma once
#include <nanobind/nanobind.h>

#include <optional>
#include <string>
#include <vector>

#include "bindings/tensor_source.hpp"

namespace ostinato::python {

class IndexBounds {
 public:
  // Of a `Region` (frontend/ostinato/compiler/region.py).
  explicit IndexBounds(nanobind::handle region);

  // The error of the eager op for the first index that is out of range.
  void check(nanobind::handle leaves) const;

 private:
  struct Indices {
    TensorSource source;
    std::string op;
    int64_t size;
    std::optional<int64_t> ignored;
    Sizes sizes, strides;
    int64_t offset;

    void check(const Tensor& whole) const;
  };

  std::vector<Indices> every_;
};

}  // namespace ostinato::python
