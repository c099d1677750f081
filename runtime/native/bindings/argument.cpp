#include "bindings/argument.hpp"

#include <algorithm>

#include "trace/tracer.hpp"

namespace ostinato::python {
namespace {

bool is_number(PyObject* o) { return PyFloat_CheckExact(o) || PyLong_CheckExact(o); }

bool is_container(PyObject* o) {
  return PyTuple_CheckExact(o) || PyList_CheckExact(o) || PyDict_CheckExact(o);
}

bool is_same(PyObject* a, PyObject* b) {
  if (a == b) return true;
  return PyUnicode_CheckExact(a) && PyUnicode_CheckExact(b) && PyUnicode_Compare(a, b) == 0;
}

// Calls `visit(key, value)` for what a container holds until it says false; the key is null but for
// dictionaries. Whether it never did.
template <class Visit>
bool all_parts(PyObject* container, Visit visit) {
  if (!PyDict_CheckExact(container)) {
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(container); ++i) {
      if (!visit(nullptr, PySequence_Fast_GET_ITEM(container, i))) return false;
    }
    return true;
  }
  PyObject *key, *value;
  for (Py_ssize_t at = 0; PyDict_Next(container, &at, &key, &value);) {
    if (!visit(key, value)) return false;
  }
  return true;
}

Py_ssize_t length_of(PyObject* container) {
  return PyDict_CheckExact(container) ? PyDict_GET_SIZE(container)
                                      : PySequence_Fast_GET_SIZE(container);
}

}  // namespace

Argument::Argument(nb::handle given, bool keeps) {
  PyObject* o = given.ptr();
  if (is_tensor(o)) {
    kind_ = Kind::tensor;
    note_tensor(tensor_of(o));
    return;
  }
  if (!is_container(o) && !is_number(o)) {
    const bool plain = o == Py_None || PyBool_Check(o) || PyUnicode_CheckExact(o);
    kind_ = keeps || plain ? Kind::same : Kind::at_address;
    address_ = o;
    if (kind_ == Kind::same) value_ = nb::borrow(o);
    return;
  }
  kind_ = is_number(o) ? Kind::number : Kind::container;
  value_ = nb::borrow(reinterpret_cast<PyObject*>(Py_TYPE(o)));
  if (kind_ == Kind::number) return;
  all_parts(o, [&](PyObject* key, PyObject* part) {
    if (key) keys_.push_back(nb::borrow(key));
    parts_.emplace_back(part, keeps);
    return true;
  });
}

void Argument::note_tensor(const Tensor& t) {
  dtype_ = t.dtype();
  sizes_ = t.sizes();
  device_ = t.device();
  requires_grad_ = ostinato::requires_grad(t);
  leaf_ = is_leaf(t);
}

bool Argument::takes(PyObject* given) const {
  if (kind_ == Kind::tensor) return is_tensor(given) && takes_tensor(given);
  if (kind_ == Kind::same) return is_same(value_.ptr(), given);
  if (kind_ == Kind::at_address) return address_ == given;
  if (value_.ptr() != reinterpret_cast<PyObject*>(Py_TYPE(given))) return false;
  return kind_ == Kind::number || takes_parts(given);
}

bool Argument::takes_tensor(PyObject* given) const {
  const Tensor& t = tensor_of(given);
  return t.dtype() == dtype_ && t.sizes() == sizes_ && t.device() == device_ &&
         ostinato::requires_grad(t) == requires_grad_ && is_leaf(t) == leaf_;
}

bool Argument::takes_parts(PyObject* given) const {
  if (static_cast<size_t>(length_of(given)) != parts_.size()) return false;
  size_t i = 0;
  return all_parts(given, [&](PyObject* key, PyObject* part) {
    const bool same_key = !key || is_same(keys_[i].ptr(), key);
    return same_key && parts_[i++].takes(part);
  });
}

int Argument::traverse(visitproc visit, void* arg) const {
  Py_VISIT(value_.ptr());
  for (const nb::object& key : keys_) Py_VISIT(key.ptr());
  for (const Argument& part : parts_) {
    if (const int stop = part.traverse(visit, arg)) return stop;
  }
  return 0;
}

void add_leaves(PyObject* given, nb::list& leaves) {
  if (!is_container(given)) return leaves.append(nb::handle(given));
  all_parts(given, [&](PyObject*, PyObject* part) {
    add_leaves(part, leaves);
    return true;
  });
}

}  // namespace ostinato::python
