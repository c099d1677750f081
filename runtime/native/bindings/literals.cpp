// Which numbers of a function that is followed are literals where they are used: constants of the
// region. All others are inputs, so that another value needs no other region.
#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "bindings/python.hpp"

namespace ostinato::python {
namespace {

constexpr size_t kMost = 4096;  // places that are remembered

// A float or an int, of which the sign does not count: it may be an operation of its own.
struct Number {
  bool real;
  double magnitude;  // that of an int too, as far as a double tells them apart
  int64_t integer = 0;
  bool operator==(const Number&) const = default;
};

// Called without arguments for the constants of the expression that runs.
PyObject* literals_hook = nullptr;

using Places = std::unordered_map<CodePlace, std::vector<Number>, CodePlace::Hash>;
Places& places() {
  static auto& known = *new Places;  // under the GIL
  return known;
}

Number number_of(PyObject* o) {
  if (PyFloat_Check(o)) return {true, std::fabs(PyFloat_AS_DOUBLE(o))};
  int overflow = 0;
  const int64_t v = PyLong_AsLongLongAndOverflow(o, &overflow);
  if (overflow) return {false, std::fabs(PyLong_AsDouble(o))};
  return {false, std::fabs(static_cast<double>(v)), v < 0 ? -v : v};
}

void forget_all() {
  for (const auto& [place, numbers] : places()) Py_DECREF(place.code);
  places().clear();
}

const std::vector<Number>& literals_at(PyCodeObject* code, int instruction) {
  if (places().size() >= kMost) forget_all();
  const auto [it, fresh] = places().try_emplace({code, instruction});
  if (!fresh) return it->second;
  Py_INCREF(code);
  Owned found(PyObject_CallNoArgs(literals_hook));
  if (!found) throw PythonError{};
  Owned list(PySequence_Fast(found.get(), "literals come as a sequence"));
  if (!list) throw PythonError{};
  for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(list.get()); ++i) {
    it->second.push_back(number_of(PySequence_Fast_GET_ITEM(list.get(), i)));
  }
  return it->second;
}

}  // namespace

void set_literals_hook(PyObject* hook) { Py_XSETREF(literals_hook, Py_NewRef(hook)); }

bool is_constant_here(PyObject* number) {
  PyFrameObject* frame = PyEval_GetFrame();
  if (PyBool_Check(number) || !frame) return true;
  Owned code(reinterpret_cast<PyObject*>(PyFrame_GetCode(frame)));
  auto* const running = reinterpret_cast<PyCodeObject*>(code.get());
  if (is_of_package(running)) return true;
  const std::vector<Number>& known = literals_at(running, PyFrame_GetLasti(frame));
  return std::find(known.begin(), known.end(), number_of(number)) != known.end();
}

}  // namespace ostinato::python
