#include "bindings/read_guards.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <string>

namespace nb = nanobind;

namespace ostinato::python {
namespace {

std::atomic<uint64_t> module_version{1};

bool are_elements(PyObject* owner, PyObject* before);

// Plain values are the same where they are equal and of one type, methods where they are of one
// object, others where they are one object.
bool is_same(PyObject* now, PyObject* before) {
  if (now == before) return true;
  if (!now || Py_TYPE(now) != Py_TYPE(before)) return false;
  if (PyMethod_Check(before)) {
    return PyMethod_GET_FUNCTION(now) == PyMethod_GET_FUNCTION(before) &&
           PyMethod_GET_SELF(now) == PyMethod_GET_SELF(before);
  }
  if (PyTuple_CheckExact(before)) return are_elements(now, before);
  if (PyFloat_CheckExact(before)) {
    const double a = PyFloat_AS_DOUBLE(now), b = PyFloat_AS_DOUBLE(before);
    return std::isnan(b) ? std::isnan(a) : a == b && std::signbit(a) == std::signbit(b);
  }
  if (!PyLong_CheckExact(before) && !PyUnicode_CheckExact(before) && !PyBytes_CheckExact(before)) {
    return false;
  }
  return PyObject_RichCompareBool(now, before, Py_EQ) == 1;
}

bool are_elements(PyObject* owner, PyObject* before) {
  const Py_ssize_t n = PyTuple_GET_SIZE(before);
  if (PySequence_Fast_GET_SIZE(owner) != n) return false;
  for (Py_ssize_t i = 0; i < n; ++i) {
    if (!is_same(PySequence_Fast_GET_ITEM(owner, i), PyTuple_GET_ITEM(before, i))) return false;
  }
  return true;
}

bool are_entries(PyObject* owner, PyObject* before) {
  if (PyDict_GET_SIZE(owner) * 2 != PyTuple_GET_SIZE(before)) return false;
  PyObject *key, *value;
  Py_ssize_t at = 0, i = 0;
  while (PyDict_Next(owner, &at, &key, &value)) {
    if (!is_same(key, PyTuple_GET_ITEM(before, i)) ||
        !is_same(value, PyTuple_GET_ITEM(before, i + 1))) {
      return false;
    }
    i += 2;
  }
  return true;
}

// `training` comes to a module when its mode first changes, and is guarded by itself.
bool are_names(PyObject* owner, PyObject* before) {
  const Py_ssize_t n = PyTuple_GET_SIZE(before);
  PyObject *key, *value;
  Py_ssize_t at = 0, i = 0;
  while (PyDict_Next(owner, &at, &key, &value)) {
    if (PyUnicode_CompareWithASCIIString(key, "training") == 0) continue;
    if (i == n || !is_same(key, PyTuple_GET_ITEM(before, i++))) return false;
  }
  return i == n;
}

// What a name that is no global means.
PyObject* of_builtins(PyObject* name) {
  return PyDict_GetItemWithError(PyEval_GetBuiltins(), name);
}

}  // namespace

void note_module_change() { ++module_version; }

ReadGuards::ReadGuards(nb::handle reads) {
  for (nb::handle r : nb::object(nb::borrow(reads))) {
    const std::string how = nb::cast<std::string>(r[0]);
    const How kind = how == "item"                ? How::item
                     : how == "elements"          ? How::elements
                     : how == "entries"           ? How::entries
                     : how == "members"           ? How::members
                     : how == "absent"            ? How::absent
                     : how == "names of a module" ? How::names
                     : how == "of a class"        ? How::of_class
                     : how == "builtin"           ? How::builtin
                     : how == "unnamed"           ? How::unnamed
                                                  : How::attribute;
    std::vector<Read>& group = how.ends_with("of a module") ? of_modules_ : reads_;
    group.push_back({kind, nb::object(r[1]), nb::object(r[2]), nb::object(r[3])});
  }
}

bool ReadGuards::Read::holds() const {
  if (how == How::elements) return are_elements(owner.ptr(), what.ptr());
  if (how == How::entries) return are_entries(owner.ptr(), what.ptr());
  if (how == How::members) return PyObject_RichCompareBool(owner.ptr(), what.ptr(), Py_EQ) == 1;
  if (how == How::names) return are_names(owner.ptr(), what.ptr());
  if (how == How::absent) return !PyObject_HasAttr(owner.ptr(), key.ptr());
  if (how == How::of_class) {  // as it lies there: finding it runs no code
    auto* kind = reinterpret_cast<PyTypeObject*>(owner.ptr());
    PyObject* found = _PyType_Lookup(kind, key.ptr());
    return found ? is_same(found, what.ptr()) : what.is_none();
  }
  if (how == How::builtin || how == How::unnamed) {
    if (PyDict_GetItemWithError(owner.ptr(), key.ptr())) return false;
    PyObject* found = of_builtins(key.ptr());
    return how == How::unnamed ? !found : is_same(found, what.ptr());
  }
  PyObject* now = how == How::item ? PyObject_GetItem(owner.ptr(), key.ptr())
                                   : PyObject_GetAttr(owner.ptr(), key.ptr());
  if (!now) PyErr_Clear();
  const bool same = is_same(now, what.ptr());
  Py_XDECREF(now);
  return same;
}

bool ReadGuards::hold() {
  auto holds = [](const Read& r) { return r.holds(); };
  if (!std::all_of(reads_.begin(), reads_.end(), holds)) return false;
  const uint64_t now = module_version;
  if (now == version_) return true;
  if (!std::all_of(of_modules_.begin(), of_modules_.end(), holds)) return false;
  version_ = now;
  return true;
}

int ReadGuards::traverse(visitproc visit, void* arg) const {
  for (const std::vector<Read>* group : {&reads_, &of_modules_}) {
    for (const Read& r : *group) {
      Py_VISIT(r.owner.ptr());
      Py_VISIT(r.key.ptr());
      Py_VISIT(r.what.ptr());
    }
  }
  return 0;
}

void ReadGuards::clear() {
  reads_.clear();
  of_modules_.clear();
}

}  // namespace ostinato::python
