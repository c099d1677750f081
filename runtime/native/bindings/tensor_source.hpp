// Where a replay of a captured region finds a tensor.
#pragma once
#include <nanobind/nanobind.h>

#include <string>

#include "bindings/casters.hpp"

namespace ostinato::python {

// It is always the same one, an argument of the call, or the grad of one of these:
// ("tensor", t), ("argument", index of a leaf), ("grad", (kind, what)).
class TensorSource {
 public:
  explicit TensorSource(nanobind::handle described) {
    std::string kind = nanobind::cast<std::string>(described[0]);
    nanobind::object what = described[1];
    if (kind == "grad") {
      of_grad_ = true;
      kind = nanobind::cast<std::string>(what[0]);
      what = what[1];
    }
    if (kind == "argument")
      argument_ = nanobind::cast<int>(what);
    else
      tensor_ = nanobind::cast<Tensor>(what);
  }

  bool is_fixed() const { return argument_ < 0 && !of_grad_; }
  // Null where there is no grad.
  TensorImpl* find(nanobind::handle leaves) const {
    TensorImpl* t = tensor_.get();
    if (argument_ >= 0) t = tensor_of(PyList_GET_ITEM(leaves.ptr(), argument_)).get();
    if (!of_grad_) return t;
    return t->autograd ? t->autograd->grad.get() : nullptr;
  }

 private:
  Tensor tensor_;
  int argument_ = -1;
  bool of_grad_ = false;
};

}  // namespace ostinato::python
