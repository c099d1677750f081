// How a captured region finds values again that are no tensors.
#pragma once
#include <nanobind/nanobind.h>

#include <vector>

#include "bindings/python.hpp"

namespace ostinato::python {

namespace nb = nanobind;

// A value reached from an object, or from the leaves of a call's arguments, by attributes and
// items.
class Path {
 public:
  explicit Path(nb::object root) : root_(std::move(root)) {}
  static Path argument(nb::object index) { return Path(nb::object()).item(std::move(index)); }
  Path attribute(nb::object name) const { return then({true, std::move(name)}); }
  Path item(nb::object key) const { return then({false, std::move(key)}); }

  nb::object read(nb::handle leaves) const {
    nb::object value = root_.is_valid() ? root_ : nb::borrow(leaves);
    for (const Step& s : steps_) {
      PyObject* next = s.attribute ? PyObject_GetAttr(value.ptr(), s.key.ptr())
                                   : PyObject_GetItem(value.ptr(), s.key.ptr());
      if (!next) throw PythonError{};
      value = nb::steal(next);
    }
    return value;
  }

  int traverse(visitproc visit, void* arg) const {
    Py_VISIT(root_.ptr());
    for (const Step& s : steps_) Py_VISIT(s.key.ptr());
    return 0;
  }
  void clear() {
    root_.reset();
    steps_.clear();
  }

 private:
  struct Step {
    bool attribute;
    nb::object key;
  };

  Path then(Step step) const {
    Path longer = *this;
    longer.steps_.push_back(std::move(step));
    return longer;
  }

  nb::object root_;  // null: the leaves
  std::vector<Step> steps_;
};

// A function of the leaves: a Path, which is read without calling Python, or any callable.
class Reader {
 public:
  explicit Reader(nb::object fn) : fn_(std::move(fn)) { nb::try_cast(fn_, path_); }
  nb::object operator()(nb::handle leaves) const {
    return path_ ? path_->read(leaves) : fn_(leaves);
  }
  PyObject* ptr() const { return fn_.ptr(); }

 private:
  nb::object fn_;
  const Path* path_ = nullptr;
};

}  // namespace ostinato::python
