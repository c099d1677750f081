// The user's line: the innermost frame whose code is not the package's.
#include <cstring>

#include "bindings/python.hpp"
#include "trace/tracer.hpp"

namespace ostinato::python {
namespace {

std::string package_prefix;

bool is_ours(PyCodeObject* code) {
  Py_ssize_t n = 0;
  const char* file = PyUnicode_AsUTF8AndSize(code->co_filename, &n);
  return file && static_cast<size_t>(n) > package_prefix.size() &&
         std::memcmp(file, package_prefix.data(), package_prefix.size()) == 0;
}

std::string site_text(const CallSite& site) {
  PyGILState_STATE gil = PyGILState_Ensure();
  const char* file = PyUnicode_AsUTF8(site.code->co_filename);
  std::string text = std::string(file ? file : "?") + ":" +
                     std::to_string(PyCode_Addr2Line(site.code, site.instruction));
  PyGILState_Release(gil);
  return text;
}

void site_release(CallSite& site) {
  if (!site.code) return;
  PyGILState_STATE gil = PyGILState_Ensure();
  Py_CLEAR(site.code);
  PyGILState_Release(gil);
}

}  // namespace

void set_package_prefix(const char* prefix) {
  package_prefix = prefix;
  set_site_functions(site_text, site_release);
}

void note_call_site(std::span<const Tensor> operands) {
  if (!Tracer::active() && !needs_grad(operands)) return;
  CallSite& site = call_site();
  Py_CLEAR(site.code);
  PyFrameObject* frame = PyEval_GetFrame();
  Py_XINCREF(frame);
  while (frame) {
    PyCodeObject* code = PyFrame_GetCode(frame);
    if (!is_ours(code)) {
      site = {code, PyFrame_GetLasti(frame)};
      Py_DECREF(frame);
      return;
    }
    Py_DECREF(code);
    PyFrameObject* back = PyFrame_GetBack(frame);
    Py_DECREF(frame);
    frame = back;
  }
}

}  // namespace ostinato::python
