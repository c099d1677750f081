// Devices as Python objects (frontend/ostinato/device.py), and where ops make tensors.
#include <nanobind/nanobind.h>

#include <map>
#include <optional>

#include "bindings/casters.hpp"
#include "cuda/context.hpp"
#include "trace/leave.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace ostinato::python {
namespace {

PyObject* device_class = nullptr;

Device parse_object(PyObject* o) {
  const Owned type(PyObject_GetAttrString(o, "type"));
  const Owned index(PyObject_GetAttrString(o, "index"));
  if (!type || !index) throw PythonError{};
  if (PyUnicode_CompareWithASCIIString(type.get(), "cpu") == 0) return kCpu;
  if (index.get() == Py_None) return cuda_device(cuda::current_device());
  return cuda_device(device_number_from(index.get()));
}

// The device of the first tensor among `values` and the lists in it.
std::optional<Device> first_device(nb::handle values) {
  for (nb::handle v : values) {
    if (is_tensor(v.ptr()) && tensor_of(v.ptr())->storage) return tensor_of(v.ptr()).device();
    if (!PyTuple_Check(v.ptr()) && !PyList_Check(v.ptr())) continue;
    if (const auto found = first_device(v)) return found;
  }
  return {};
}

Device beside(nb::args args, nb::kwargs kwargs) {
  auto found = first_device(args);
  if (!found && kwargs.size() != 0) found = first_device(kwargs.values());
  return found.value_or(creation_device());
}

nb::object call_on(Device device, nb::handle fn, nb::handle args, nb::handle kwargs) {
  const DeviceScope scope(device);
  PyObject* made = PyObject_Call(fn.ptr(), args.ptr(), kwargs.ptr());
  if (made == nullptr) throw nb::python_error();
  return nb::steal(made);
}

}  // namespace

Device device_from(PyObject* o) {
  if (o == Py_None) return creation_device();
  if (PyUnicode_Check(o)) {
    const char* text = PyUnicode_AsUTF8(o);
    if (text == nullptr) throw PythonError{};
    return device_named(text, cuda::current_device());
  }
  const int is_device = device_class == nullptr ? 0 : PyObject_IsInstance(o, device_class);
  if (is_device < 0) throw PythonError{};
  if (is_device == 0) {
    throw Error(ErrorKind::type, std::string("device: a ") + Py_TYPE(o)->tp_name +
                                     " came; give \"cpu\", \"cuda\", \"cuda:1\" or an "
                                     "ostinato.device");
  }
  return parse_object(o);
}

PyObject* device_object(Device d) {
  static auto& made = *new std::map<std::pair<DeviceType, int>, PyObject*>;  // under the GIL
  PyObject*& found = made[{d.type, d.index}];
  if (found == nullptr) found = PyObject_CallFunction(device_class, "s", show(d).c_str());
  return found;
}

void bind_device(nb::module_& m) {
  m.def("set_device_class", [](nb::object cls) { device_class = cls.release().ptr(); }, "cls"_a);
  m.def(
      "device_of", [](nb::handle o) { return nb::borrow(device_object(device_from(o.ptr()))); },
      "given"_a.none(), "The device that a user's text, object or None stands for.");
  m.def(
      "on_device",
      [](nb::handle device, nb::handle fn, nb::args args, nb::kwargs kwargs) {
        return call_on(device_from(device.ptr()), fn, args, kwargs);
      },
      "device"_a.none(), "function"_a, "args"_a, "kwargs"_a,
      "Calls a function, in which ops without operands make tensors on `device`.");
  m.def(
      "beside",
      [](nb::handle fn, nb::args args, nb::kwargs kwargs) {
        return call_on(beside(args, kwargs), fn, args, kwargs);
      },
      "function"_a, "args"_a, "kwargs"_a, "The same on the device of the first tensor that comes.");
  m.def(
      "at_once",
      [](nb::handle fn, nb::args args) {
        const Pause outside;
        return nb::object(fn(*args));
      },
      "function"_a, "args"_a,
      "Calls a function whose ops run now, whatever captures are going on: what it makes comes to "
      "them from outside.");
  m.def(
      "copy_non_blocking",
      [](const Tensor& t, const Tensor& source) {
        const Tensor pair[] = {t, source};
        note_call_site(pair);
        nb::gil_scoped_release unlocked;
        call_copy(t, source, true);
        return t;
      },
      "tensor"_a, "source"_a);
  m.def(
      "set_creation_device",
      [](nb::handle device) {
        const Device before = creation_device();
        set_creation_device(device_from(device.ptr()));
        return nb::borrow(device_object(before));
      },
      "device"_a, "Where ops of this thread make tensors from now on; returns where they did.");
}

}  // namespace ostinato::python
