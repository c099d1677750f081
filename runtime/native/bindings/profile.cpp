// A profile hook of a thread that stays when it raises, and gives way to the one that was there.
//
// `sys.setprofile` drops a hook that raises, and cannot put back one that is written in C.
#include <nanobind/nanobind.h>

// After Python.h, which nanobind includes.
#include <frameobject.h>

#include "bindings/python.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace ostinato::python {
namespace {

const char* name_of(int event) {
  switch (event) {
    case PyTrace_CALL:
      return "call";
    case PyTrace_RETURN:
      return "return";
    case PyTrace_C_CALL:
      return "c_call";
    default:
      return nullptr;
  }
}

int call_hook(PyObject* hook, PyFrameObject* frame, int event, PyObject* arg) {
  const char* name = name_of(event);
  if (!name) return 0;
  Owned done(PyObject_CallFunction(hook, "OsO", frame, name, arg ? arg : Py_None));
  return done ? 0 : -1;
}

// Calls `hook(frame, event, arg)` as `sys.setprofile` would, for calls and returns.
class Profile {
 public:
  explicit Profile(nb::object hook) : hook_(std::move(hook)) {}

  void enter() {
    const PyThreadState* thread = PyThreadState_Get();
    function_ = thread->c_profilefunc;
    object_ = nb::borrow(thread->c_profileobj);
    PyEval_SetProfile(call_hook, hook_.ptr());
  }
  void leave() { PyEval_SetProfile(function_, object_.ptr()); }

 private:
  nb::object hook_, object_;
  Py_tracefunc function_ = nullptr;
};

}  // namespace

void bind_profile(nb::module_& m) {
  nb::class_<Profile>(m, "Profile", "A profile hook of this thread; it stays when it raises.")
      .def(nb::init<nb::object>(), "hook"_a)
      .def("__enter__", &Profile::enter)
      .def("__exit__", [](Profile& p, nb::args) { p.leave(); }, "exception"_a);
  m.def("pause_profile", [] { PyThreadState_EnterTracing(PyThreadState_Get()); });
  m.def("resume_profile", [] { PyThreadState_LeaveTracing(PyThreadState_Get()); });
}

}  // namespace ostinato::python
