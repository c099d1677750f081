// clang-format off
#include <Python.h>
#include <structmember.h>  // needs Python.h before it
// clang-format on

#include <cstddef>
#include <cstring>

#include "bindings/python.hpp"
#include "trace/tracer.hpp"

namespace ostinato::python {

PyTypeObject* tensor_type = nullptr;

namespace {

PyObject* tensor_new(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
  static const char* names[] = {"tensor", "requires_grad", nullptr};
  PyObject* source = nullptr;
  int requires_grad = 0;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|p:Tensor", const_cast<char**>(names), &source,
                                   &requires_grad)) {
    return nullptr;
  }
  if (!is_tensor(source)) {
    PyErr_Format(PyExc_TypeError, "Tensor: a %s came; give a Tensor (ot.tensor(...) makes one)",
                 Py_TYPE(source)->tp_name);
    return nullptr;
  }
  try {
    Tensor t = detached(tensor_of(source));
    t->requires_grad = requires_grad;
    return wrap_as(type, t);
  } catch (...) {
    set_error();
    return nullptr;
  }
}

void tensor_dealloc(PyObject* self) {
  auto* object = reinterpret_cast<PyTensor*>(self);
  if (object->weakrefs) PyObject_ClearWeakRefs(self);
  if (object->tensor && object->tensor->py_object == self) object->tensor->py_object = nullptr;
  object->tensor.~Tensor();
  PyTypeObject* type = Py_TYPE(self);
  type->tp_free(self);
  Py_DECREF(type);
}

Py_hash_t tensor_hash(PyObject* self) { return _Py_HashPointer(tensor_of(self).get()); }

Py_ssize_t tensor_length(PyObject* self) {
  const Tensor& t = tensor_of(self);
  if (t.ndim() == 0) {
    PyErr_SetString(PyExc_TypeError, "len: a 0-d tensor has no length; use .numel()");
    return -1;
  }
  return t.size(0);
}

PyObject* get_shape(PyObject* self, void*) { return sizes_to(tensor_of(self).sizes()); }
PyObject* get_dtype(PyObject* self, void*) {
  return Py_NewRef(dtype_object(tensor_of(self).dtype()));
}
PyObject* get_device(PyObject* self, void*) {
  return Py_XNewRef(device_object(tensor_of(self).device()));
}
PyObject* get_is_cuda(PyObject* self, void*) {
  return PyBool_FromLong(tensor_of(self).device().is_cuda());
}
PyObject* get_ndim(PyObject* self, void*) { return PyLong_FromLong(tensor_of(self).ndim()); }
PyObject* get_requires_grad(PyObject* self, void*) {
  return PyBool_FromLong(requires_grad(tensor_of(self)));
}

// A replay makes the region's own tensors again, and changes no flag of others.
int set_in_capture(Tracer& tracer, const Tensor& t, bool on) {
  if (on == tracer.requires_grad(t)) return 0;
  try {
    if (tracer.is_given(t)) {
      throw Error(ErrorKind::capture,
                  "capture: a change of requires_grad of a tensor from outside would not be "
                  "repeated by a replay; do it outside the compiled function");
    }
    if (!on) {
      throw Error(ErrorKind::runtime,
                  "requires_grad: the result of a recorded op keeps it; use detach()");
    }
    tracer.make_leaf(t);
    return 0;
  } catch (...) {
    set_error();
    return -1;
  }
}

int set_requires_grad(PyObject* self, PyObject* value, void*) {
  int on = value ? PyObject_IsTrue(value) : -1;
  if (on < 0) return -1;
  const Tensor& t = tensor_of(self);
  if (on && !is_float(t.dtype())) {
    PyErr_Format(PyExc_TypeError,
                 "requires_grad: dtype %s has no gradients; convert to a floating-point dtype",
                 std::string(name_of(t.dtype())).c_str());
    return -1;
  }
  if (!on && t->autograd && t->autograd->node) {
    PyErr_SetString(PyExc_RuntimeError,
                    "requires_grad: the result of a recorded op keeps it; use detach()");
    return -1;
  }
  if (Tracer* tracer = Tracer::active()) return set_in_capture(*tracer, t, on);
  t->requires_grad = on;
  note_tensor_change();
  return 0;
}

PyObject* get_grad(PyObject* self, void*) {
  const Tensor& t = tensor_of(self);
  if (Tracer* tracer = Tracer::active(); tracer && !t.is_traced()) tracer->note_grad(t);
  if (!t->autograd || !t->autograd->grad) Py_RETURN_NONE;
  return wrap(t->autograd->grad);
}

int set_grad(PyObject* self, PyObject* value, void*) {
  const Tensor& t = tensor_of(self);
  bool none = !value || value == Py_None;
  if (!none && (!is_tensor(value) || tensor_of(value).sizes() != t.sizes())) {
    PyErr_SetString(PyExc_TypeError, "grad: give None or a tensor of the same shape");
    return -1;
  }
  if (Tracer* tracer = Tracer::active()) {
    if (none && (!t->autograd || !t->autograd->grad)) return 0;
    tracer->note_grad(t);
  } else if (none && !t->autograd) {
    return 0;
  }
  autograd_state(t).grad = none ? Tensor() : tensor_of(value);
  return 0;
}

PyObject* get_is_leaf(PyObject* self, void*) { return PyBool_FromLong(is_leaf(tensor_of(self))); }
PyObject* get_version(PyObject* self, void*) {
  const Tensor& t = tensor_of(self);
  try {
    if (Tracer::active()) need_value(t, "`._version`");  // also of what replays change
  } catch (...) {
    set_error();
    return nullptr;
  }
  return PyLong_FromLong(t->storage ? t->storage->version() : 0);
}

}  // namespace

PyGetSetDef tensor_properties[] = {
    {"shape", get_shape, nullptr, "The sizes of the axes, a tuple.", nullptr},
    {"dtype", get_dtype, nullptr, "The element type.", nullptr},
    {"device", get_device, nullptr, "Where the elements lie.", nullptr},
    {"is_cuda", get_is_cuda, nullptr, "Whether that is a CUDA device.", nullptr},
    {"ndim", get_ndim, nullptr, "The number of axes.", nullptr},
    {"requires_grad", get_requires_grad, set_requires_grad, "Whether gradients are recorded.",
     nullptr},
    {"grad", get_grad, set_grad, "The accumulated gradient, or None.", nullptr},
    {"is_leaf", get_is_leaf, nullptr, "True when no recorded op made this tensor.", nullptr},
    {"_version", get_version, nullptr, "How often the storage was changed in place.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyObject* wrap_as(PyTypeObject* type, const Tensor& t) {
  PyObject* self = type->tp_alloc(type, 0);
  if (!self) return nullptr;
  new (&reinterpret_cast<PyTensor*>(self)->tensor) Tensor(t);
  reinterpret_cast<PyTensor*>(self)->weakrefs = nullptr;
  t->py_object = self;
  return self;
}

PyObject* wrap(const Tensor& t) {
  if (t->py_object) return Py_NewRef(static_cast<PyObject*>(t->py_object));
  return wrap_as(tensor_type, t);
}

PyTypeObject* make_tensor_type() {
  static PyMemberDef members[] = {
      {"__weaklistoffset__", T_PYSSIZET, offsetof(PyTensor, weakrefs), READONLY, nullptr},
      {nullptr, 0, 0, 0, nullptr}};
  std::vector<PyType_Slot> slots = {
      {Py_tp_new, reinterpret_cast<void*>(tensor_new)},
      {Py_tp_dealloc, reinterpret_cast<void*>(tensor_dealloc)},
      {Py_tp_hash, reinterpret_cast<void*>(tensor_hash)},
      {Py_tp_getset, tensor_properties},
      {Py_tp_members, members},
      {Py_tp_methods, const_cast<PyMethodDef*>(op_methods())},
      {Py_mp_length, reinterpret_cast<void*>(tensor_length)},
      {Py_mp_subscript, reinterpret_cast<void*>(get_item)},
      {Py_mp_ass_subscript, reinterpret_cast<void*>(set_item)},
      {Py_tp_doc, const_cast<char*>("An n-dimensional array of one dtype on one device.")},
  };
  for (PyType_Slot* s = operator_slots(); s->slot; ++s) slots.push_back(*s);
  slots.push_back({0, nullptr});
  PyType_Spec spec = {"ostinato.Tensor", sizeof(PyTensor), 0,
                      Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, slots.data()};
  tensor_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&spec));
  return tensor_type;
}

}  // namespace ostinato::python
