// What the binding files share: the Tensor type, conversions, and errors as Python exceptions.
#pragma once
#include <Python.h>

#include <span>
#include <string>

#include "autograd/tape.hpp"
#include "core/tensor.hpp"
#include "dispatch/op_call.hpp"

namespace ostinato::python {

struct PyTensor {
  PyObject_HEAD Tensor tensor;
  PyObject* weakrefs;
};

extern PyTypeObject* tensor_type;

inline bool is_tensor(PyObject* o) {
  return Py_TYPE(o) == tensor_type || PyType_IsSubtype(Py_TYPE(o), tensor_type);
}
inline const Tensor& tensor_of(PyObject* o) { return reinterpret_cast<PyTensor*>(o)->tensor; }
// A new reference: the object that `t` has already, or a new one.
PyObject* wrap(const Tensor& t);
// A new object of `type` for a tensor that has none yet.
PyObject* wrap_as(PyTypeObject* type, const Tensor& t);

// The Python DType objects (ir/dtypes.py), by code.
PyObject* dtype_object(DType d);  // borrowed
bool dtype_of(PyObject* o, DType* out);

// The Python device objects (frontend/ostinato/device.py).
PyObject* device_object(Device d);  // borrowed, null where an exception is set
// From a text, a device object, or None for `creation_device`; throws Error or PythonError.
Device device_from(PyObject* o);
// The number of a CUDA device: from that, or as `device_from`; None is the current device.
int cuda_index(PyObject* o);

// A Python exception is set already.
struct PythonError {};
// Sets the Python exception of the exception in flight. For `catch (...)`.
void set_error();

class ReleaseGil {
 public:
  ReleaseGil() : state_(PyEval_SaveThread()) {}
  ~ReleaseGil() { PyEval_RestoreThread(state_); }
  ReleaseGil(const ReleaseGil&) = delete;
  ReleaseGil& operator=(const ReleaseGil&) = delete;

 private:
  PyThreadState* state_;
};

// Owns one reference.
class Owned {
 public:
  explicit Owned(PyObject* o = nullptr) : o_(o) {}
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  ~Owned() { Py_XDECREF(o_); }
  PyObject* get() const { return o_; }
  void reset(PyObject* o) {
    Py_XDECREF(o_);
    o_ = o;
  }
  PyObject* release() { return std::exchange(o_, nullptr); }
  explicit operator bool() const { return o_ != nullptr; }

 private:
  PyObject* o_;
};

// Operand or attribute of a call from Python objects; throws Error or PythonError.
Tensor operand_from(PyObject* o, const char* op, const char* param);
Attr attr_from(PyObject* o, const OpInfo& op, const Param& param);
PyObject* attr_to(const Attr& attr);
bool is_index(PyObject* o);
int64_t int_from(PyObject* o);
// The number of a device: -1, which none has, where it is too large for one.
int device_number_from(PyObject* o);
Sizes sizes_from(PyObject* o);
PyObject* sizes_to(const Sizes& sizes);

// Whether the code belongs to this package.
bool is_of_package(PyCodeObject* code);
// Whether a Python number, given to an op by the function that runs, is a literal there, or is the
// package's: it is no input of a region that is followed.
bool is_constant_here(PyObject* number);
void set_literals_hook(PyObject* hook);

// An instruction of a code object, which tells places of living code apart.
struct CodePlace {
  PyCodeObject* code = nullptr;  // borrowed
  int instruction = 0;
  bool operator==(const CodePlace&) const = default;

  struct Hash {
    size_t operator()(const CodePlace& p) const {
      return (reinterpret_cast<uintptr_t>(p.code) >> 4) * 31 + static_cast<size_t>(p.instruction);
    }
  };
};

// The user's line that runs, as FILE:LINE; empty where none does.
std::string running_line();
// The same as a place, null where none does.
CodePlace running_place();
// Notes it where the tape or a trace will want it.
void note_call_site(std::span<const Tensor> operands);
// The call that comes is of this line of the user.
void set_call_site(PyObject* file, int line);
// The same for device memory that is allocated next, where history is kept.
void note_memory_holder();
// Before the memory of `t` is read: a running region ends there, or CaptureError names `what`.
inline constexpr const char* kInstead =
    "return the tensor, or call it outside the compiled function";
void need_value(const Tensor& t, const char* what, const char* instead = kInstead);
// In a capture: user code saw how `t` lies in memory.
void note_layout(const Tensor& t);

// Calls an op with Python arguments by its schema. `self_first` only changes error texts.
PyObject* call_from_python(const OpInfo& op, bool inplace, PyObject* const* args, Py_ssize_t nargs,
                           PyObject* kwnames) noexcept;

PyObject* get_item(PyObject* self, PyObject* key) noexcept;
int set_item(PyObject* self, PyObject* key, PyObject* value) noexcept;

// Slots and methods, one array from each file.
extern PyGetSetDef tensor_properties[];
const PyMethodDef* op_methods();    // Tensor methods of the table, null-terminated
const PyMethodDef* op_functions();  // module functions of the table, null-terminated
PyType_Slot* operator_slots();      // number protocol, zero-terminated

// The random state of the default generator or of `o`, advanced by the draws of `count` elements.
Tensor draw(PyObject* o, int64_t count);

}  // namespace ostinato::python
