// What a captured region relies on of the tensors that it gets, besides shape and dtype of
// arguments: which of them are one, show each other's memory, or keep apart.
#pragma once
#include <vector>

#include "bindings/tensor_source.hpp"

namespace ostinato::python {

class InputGuards {
 public:
  // Of a `Region` of frontend/ostinato/compiler/region.py.
  explicit InputGuards(nanobind::handle region);

  bool hold(nanobind::handle leaves);
  // Whether no tensor that the region changes shares memory with another one.
  bool are_apart(nanobind::handle leaves);

 private:
  // A tensor that is always the same has the properties that it had.
  struct Fixed {
    Tensor tensor;
    DType dtype;
    Sizes sizes;
    Device device;
    bool requires_grad;
    bool holds() const;
  };
  // One tensor shows the memory of another as it did.
  struct Shown {
    TensorSource tensor;
    TensorSource root;
    int64_t distance;
    Sizes strides;
    Sizes root_strides;
    bool tied;
    bool holds(nanobind::handle leaves) const;
  };
  struct Identical {
    TensorSource tensor;
    TensorSource other;
  };
  struct Layout {
    TensorSource tensor;
    Sizes strides;
  };
  struct Bytes {
    const std::byte* begin;
    const std::byte* end;
    bool operator==(const Bytes&) const = default;
  };
  struct Lying {
    TensorSource tensor;
    bool changed;
    Bytes bytes;  // when it was last found to be apart from all others
  };

  static Bytes bytes_of(const TensorImpl* t);
  bool meets_another(size_t i) const;

  bool fixed_ones_hold(nanobind::handle leaves) const;
  void look_at(size_t i, nanobind::handle leaves);

  std::vector<Fixed> fixed_;
  std::vector<Shown> fixed_shown_;  // of two tensors that are always the same
  std::vector<Shown> shown_;
  std::vector<Identical> identical_;
  std::vector<Layout> layouts_;
  std::vector<Lying> lying_;     // empty where the region changes nothing
  std::vector<size_t> passing_;  // of these, the ones that are not always the same tensor
  std::vector<size_t> moved_;
  uint64_t held_at_ = 0;   // `tensor_changes` when what is fixed was last found to hold,
  uint64_t apart_at_ = 0;  // and to be apart
};

}  // namespace ostinato::python
