// A profile hook of a thread that stays when it raises, and gives way to the one that was there. On
// demand it is told of lines, too.
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

// A hook that is there, with what it is given.
struct Hook {
  Py_tracefunc function = nullptr;
  nb::object object;
};

// Calls `hook(frame, event, arg)` as `sys.setprofile` would, for calls and returns.
class Profile {
 public:
  explicit Profile(nb::object hook) : hook_(std::move(hook)) {}

  void enter() {
    const PyThreadState* thread = PyThreadState_Get();
    before_ = {thread->c_profilefunc, nb::borrow(thread->c_profileobj)};
    PyEval_SetProfile(call_hook, hook_.ptr());
  }
  // From here on also before each line. A debugger or the like is told of what it would be.
  void see_lines() {
    if (sees_lines_) return;
    sees_lines_ = true;
    const PyThreadState* thread = PyThreadState_Get();
    tracing_ = {thread->c_tracefunc, nb::borrow(thread->c_traceobj)};
    PyEval_SetTrace(line_hook, nb::find(this).ptr());
  }
  void leave() {
    if (sees_lines_) PyEval_SetTrace(tracing_.function, tracing_.object.ptr());
    sees_lines_ = false;
    PyEval_SetProfile(before_.function, before_.object.ptr());
  }

 private:
  static int line_hook(PyObject* self, PyFrameObject* frame, int event, PyObject* arg) {
    const Profile& profile = *nb::inst_ptr<Profile>(self);
    const Hook& outer = profile.tracing_;
    if (outer.function && outer.function(outer.object.ptr(), frame, event, arg)) return -1;
    if (event != PyTrace_LINE) return 0;
    Owned done(PyObject_CallFunction(profile.hook_.ptr(), "OsO", frame, "line", Py_None));
    return done ? 0 : -1;
  }

  nb::object hook_;
  Hook before_, tracing_;
  bool sees_lines_ = false;
};

}  // namespace

void bind_profile(nb::module_& m) {
  nb::class_<Profile>(m, "Profile", "A profile hook of this thread; it stays when it raises.")
      .def(nb::init<nb::object>(), "hook"_a)
      .def("__enter__", &Profile::enter)
      .def(
          "__exit__", [](Profile& p, nb::args) { p.leave(); }, "exception"_a)
      .def("see_lines", &Profile::see_lines, "From here on the hook is called before each line.");
  m.def("pause_profile", [] { PyThreadState_EnterTracing(PyThreadState_Get()); });
  m.def("resume_profile", [] { PyThreadState_LeaveTracing(PyThreadState_Get()); });
}

}  // namespace ostinato::python
