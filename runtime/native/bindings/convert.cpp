#include <array>
#include <cmath>

#include "bindings/python.hpp"
#include "dispatch/shape_rules.hpp"
#include "trace/leave.hpp"

namespace ostinato::python {
namespace {

std::array<PyObject*, kDTypeCount> dtype_objects{};
std::array<PyObject*, 11> error_classes{};
// Asked in captures for the source of a number: a tensor, or None for a constant.
PyObject* number_hook = nullptr;

[[noreturn]] void fail(const char* op, const char* param, PyObject* came, const std::string& need) {
  throw Error(ErrorKind::type, std::string(op) + ": " + param + " is a " + Py_TYPE(came)->tp_name +
                                   "; give " + need);
}

}  // namespace

void set_dtype_objects(PyObject* list) {
  for (int i = 0; i < kDTypeCount; ++i) dtype_objects[i] = Py_NewRef(PySequence_GetItem(list, i));
}
void set_error_classes(PyObject* list) {
  for (size_t i = 0; i < error_classes.size(); ++i) {
    error_classes[i] = Py_NewRef(PySequence_GetItem(list, static_cast<Py_ssize_t>(i)));
  }
}

PyObject* dtype_object(DType d) { return dtype_objects[static_cast<int>(d)]; }

bool dtype_of(PyObject* o, DType* out) {
  for (int i = 0; i < kDTypeCount; ++i) {
    if (dtype_objects[i] != o) continue;
    *out = static_cast<DType>(i);
    return true;
  }
  return false;
}

void set_error() {
  try {
    throw;
  } catch (const PythonError&) {
  } catch (const Error& e) {
    PyObject* cls = error_classes[static_cast<int>(e.kind())];
    std::string text = e.what();
    if (e.kind() == ErrorKind::capture) {
      if (const std::string line = running_line(); !line.empty()) text += " (at " + line + ")";
    }
    PyErr_SetString(cls ? cls : PyExc_RuntimeError, text.c_str());
  } catch (const std::bad_alloc&) {
    PyErr_SetString(PyExc_MemoryError, "out of memory; free tensors or use smaller ones");
  } catch (const std::exception& e) {
    PyErr_SetString(PyExc_RuntimeError, e.what());
  }
}

bool is_index(PyObject* o) { return PyIndex_Check(o) && !PyBool_Check(o) && !is_tensor(o); }

int64_t int_from(PyObject* o) {
  if (PyLong_CheckExact(o)) {
    int overflow = 0;
    int64_t v = PyLong_AsLongLongAndOverflow(o, &overflow);
    if (overflow)
      throw Error(ErrorKind::value, "an integer does not fit 64 bits; give a smaller one");
    return v;
  }
  Owned number(PyNumber_Index(o));
  if (!number) throw PythonError{};
  return int_from(number.get());
}

int device_number_from(PyObject* o) {
  const int64_t number = int_from(o);
  return number == static_cast<int>(number) ? static_cast<int>(number) : -1;
}

Sizes sizes_from(PyObject* o) {
  if (is_index(o)) return {int_from(o)};
  Owned fast(PySequence_Fast(o, "sizes must be integers or a sequence of them"));
  if (!fast) throw PythonError{};
  Sizes out;
  Py_ssize_t n = PySequence_Fast_GET_SIZE(fast.get());
  for (Py_ssize_t i = 0; i < n; ++i)
    out.push_back(int_from(PySequence_Fast_GET_ITEM(fast.get(), i)));
  return out;
}

PyObject* sizes_to(const Sizes& sizes) {
  PyObject* tuple = PyTuple_New(sizes.ssize());
  for (int i = 0; tuple && i < sizes.ssize(); ++i) {
    PyTuple_SET_ITEM(tuple, i, PyLong_FromLongLong(sizes[i]));
  }
  return tuple;
}

void set_number_hook(PyObject* hook) {
  Py_XSETREF(number_hook, hook == Py_None ? nullptr : Py_NewRef(hook));
}

Tensor operand_from(PyObject* o, const char* op, const char* param) {
  if (is_tensor(o)) return tensor_of(o);
  Tracer* const tracer = Tracer::active();
  if (tracer && tracer->is_following() && (PyFloat_CheckExact(o) || PyLong_Check(o))) {
    const Tensor n = PyFloat_Check(o)  ? number(PyFloat_AS_DOUBLE(o))
                     : PyBool_Check(o) ? number(o == Py_True)
                                       : number(int_from(o));
    if (!is_constant_here(o)) tracer->add_input(n);
    return n;
  }
  if (number_hook && tracer) {
    Owned live(PyObject_CallOneArg(number_hook, o));
    if (!live) throw PythonError{};
    if (is_tensor(live.get())) return tensor_of(live.get());
  }
  if (PyFloat_Check(o)) return number(PyFloat_AS_DOUBLE(o));
  if (PyBool_Check(o)) return number(o == Py_True);
  if (PyLong_Check(o)) return number(int_from(o));
  // A number of another library: NumPy scalars among them.
  if (PyIndex_Check(o)) return number(int_from(o));
  if (Py_TYPE(o)->tp_as_number && Py_TYPE(o)->tp_as_number->nb_float && !PySequence_Check(o)) {
    double v = PyFloat_AsDouble(o);
    if (v == -1.0 && PyErr_Occurred()) throw PythonError{};
    return number(v);
  }
  fail(op, param, o, "a Tensor or a number (ot.tensor(...) makes a Tensor)");
}

Attr attr_from(PyObject* o, const OpInfo& op, const Param& param) {
  std::string_view kind = param.kind;
  if (o == Py_None) {
    if (param.optional) return Attr();
    fail(op.name, param.name, o, "a " + std::string(param.kind));
  }
  if (kind == "bool") {
    int v = PyObject_IsTrue(o);
    if (v < 0) throw PythonError{};
    return Attr(v != 0);
  }
  if (kind == "int" || kind == "size") {
    if (!is_index(o)) fail(op.name, param.name, o, "an integer");
    return Attr(int_from(o));
  }
  if (kind == "float") {
    double v = PyFloat_Check(o) || is_index(o) ? PyFloat_AsDouble(o) : NAN;
    if (!PyFloat_Check(o) && !is_index(o)) fail(op.name, param.name, o, "a number");
    return Attr(v);
  }
  if (kind == "str") {
    if (!PyUnicode_Check(o)) fail(op.name, param.name, o, "a string");
    return Attr(std::string(PyUnicode_AsUTF8(o)));
  }
  if (kind == "device") return Attr(show(device_from(o)));
  if (kind == "dtype") {
    DType d;
    if (!dtype_of(o, &d)) fail(op.name, param.name, o, "a dtype such as ostinato.float32");
    return Attr(d);
  }
  if (!is_index(o) && !PyTuple_Check(o) && !PyList_Check(o)) {
    fail(op.name, param.name, o, "an integer or a sequence of integers");
  }
  return Attr(sizes_from(o));
}

PyObject* attr_to(const Attr& attr) {
  struct Visit {
    PyObject* operator()(std::monostate) { Py_RETURN_NONE; }
    PyObject* operator()(bool v) { return PyBool_FromLong(v); }
    PyObject* operator()(int64_t v) { return PyLong_FromLongLong(v); }
    PyObject* operator()(double v) { return PyFloat_FromDouble(v); }
    PyObject* operator()(DType v) { return Py_NewRef(dtype_object(v)); }
    PyObject* operator()(const std::string& v) { return PyUnicode_FromString(v.c_str()); }
    PyObject* operator()(const Sizes& v) { return sizes_to(v); }
  };
  return std::visit(Visit{}, attr.value());
}

void note_layout(const Tensor& t) {
  if (Tracer* tracer = Tracer::active()) tracer->note_layout(t);
}

void need_value(const Tensor& t, const char* what, const char* instead) {
  const Tracer* tracer = Tracer::active();
  if (!tracer) expect_value(t);
  if (!tracer || (tracer->is_following() && tracer->is_settled(t))) return;
  const std::string why = std::string(what) + " needs a value now";
  if (leave_region(why)) return;
  throw Error(ErrorKind::capture, "capture: " + why + "; " + instead);
}

}  // namespace ostinato::python
