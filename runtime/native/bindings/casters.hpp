// Tensors and attributes as arguments and results of nanobind functions.
#pragma once
#include <nanobind/nanobind.h>

#include "bindings/python.hpp"

namespace nanobind::detail {

template <>
struct type_caster<ostinato::Tensor> {
  NB_TYPE_CASTER(ostinato::Tensor, const_name("Tensor | None"))

  bool from_python(handle src, uint8_t, cleanup_list*) noexcept {
    if (src.is_none()) return true;
    if (!ostinato::python::is_tensor(src.ptr())) return false;
    value = ostinato::python::tensor_of(src.ptr());
    return true;
  }
  static handle from_cpp(const ostinato::Tensor& t, rv_policy, cleanup_list*) noexcept {
    return t ? handle(ostinato::python::wrap(t)) : none().release();
  }
};

template <>
struct type_caster<ostinato::Attr> {
  NB_TYPE_CASTER(ostinato::Attr, const_name("Attr"))

  bool from_python(handle src, uint8_t, cleanup_list*) noexcept {
    using ostinato::Attr;
    PyObject* o = src.ptr();
    ostinato::DType d;
    try {
      if (o == Py_None)
        value = Attr();
      else if (PyBool_Check(o))
        value = Attr(o == Py_True);
      else if (PyLong_Check(o))
        value = Attr(ostinato::python::int_from(o));
      else if (PyFloat_Check(o))
        value = Attr(PyFloat_AS_DOUBLE(o));
      else if (PyUnicode_Check(o))
        value = Attr(std::string(PyUnicode_AsUTF8(o)));
      else if (ostinato::python::dtype_of(o, &d))
        value = Attr(d);
      else if (PyTuple_Check(o) || PyList_Check(o))
        value = Attr(ostinato::python::sizes_from(o));
      else
        return false;
    } catch (...) {
      PyErr_Clear();
      return false;
    }
    return true;
  }
  static handle from_cpp(const ostinato::Attr& a, rv_policy, cleanup_list*) noexcept {
    return handle(ostinato::python::attr_to(a));
  }
};

}  // namespace nanobind::detail
