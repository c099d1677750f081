// What calls of one kind have in common at one place of their arguments.
#pragma once
#include <nanobind/nanobind.h>

#include <vector>

#include "bindings/python.hpp"

namespace ostinato::python {

namespace nb = nanobind;

// An argument, or a tuple, list or dictionary of them. Tensors are alike by what is known of them
// besides their elements, numbers by their type, texts by their letters, all else by identity.
class Argument {
 public:
  // Without `keeps`, an object that must be the same may go away, and another one take its place.
  Argument(nb::handle given, bool keeps);
  // Whether `given` is alike. Runs no code of the user.
  bool takes(PyObject* given) const;
  int traverse(visitproc visit, void* arg) const;

 private:
  enum class Kind : uint8_t { tensor, number, same, at_address, container };

  void note_tensor(const Tensor& t);
  bool takes_tensor(PyObject* given) const;
  bool takes_parts(PyObject* given) const;

  Kind kind_;
  nb::object value_;  // the type of a number or container, or what must be the same
  const PyObject* address_ = nullptr;
  std::vector<Argument> parts_;
  std::vector<nb::object> keys_;  // of a dictionary
  DType dtype_ = DType::float32_;
  Sizes sizes_;
  Device device_;
  bool requires_grad_ = false;
  bool leaf_ = false;
};

// Puts what is no tuple, list or dictionary into `leaves`, in order.
void add_leaves(PyObject* given, nb::list& leaves);

}  // namespace ostinato::python
