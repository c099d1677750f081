// The user's line: the innermost frame whose code is not the package's.
#include <cstring>
#include <map>

#include "bindings/python.hpp"
#include "cuda/memory.hpp"
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

CallSite site_copy(const CallSite& site) {
  PyGILState_STATE gil = PyGILState_Ensure();
  Py_INCREF(site.code);
  PyGILState_Release(gil);
  return site;
}

void site_release(CallSite& site) {
  if (!site.code) return;
  PyGILState_STATE gil = PyGILState_Ensure();
  Py_CLEAR(site.code);
  PyGILState_Release(gil);
}

// Null code where no frame is the user's.
CallSite running_site() {
  PyFrameObject* frame = PyEval_GetFrame();
  Py_XINCREF(frame);
  while (frame) {
    PyCodeObject* code = PyFrame_GetCode(frame);
    if (!is_ours(code)) {
      const CallSite found{code, PyFrame_GetLasti(frame)};
      Py_DECREF(frame);
      return found;
    }
    Py_DECREF(code);
    PyFrameObject* back = PyFrame_GetBack(frame);
    Py_DECREF(frame);
    frame = back;
  }
  return {};
}

}  // namespace

void set_package_prefix(const char* prefix) {
  package_prefix = prefix;
  set_site_functions(site_text, site_copy, site_release);
}

void note_call_site(std::span<const Tensor> operands) {
  if (cuda::memory_history().load(std::memory_order_relaxed)) note_memory_holder();
  if (!Tracer::active() && !needs_grad(operands)) return;
  CallSite& site = call_site();
  Py_CLEAR(site.code);
  site = running_site();
}

void note_memory_holder() {
  if (!cuda::memory_history().load(std::memory_order_relaxed)) return;
  // The texts live on, and with them the code objects by which they are found.
  static auto& lines = *new std::map<std::pair<PyCodeObject*, int>, std::string>;  // under the GIL
  const CallSite site = running_site();
  if (!site.code) return cuda::set_memory_holder(nullptr);
  const auto [it, fresh] = lines.try_emplace({site.code, site.instruction});
  if (fresh) {
    it->second = site_text(site);
  } else {
    Py_DECREF(site.code);
  }
  cuda::set_memory_holder(&it->second);
}

}  // namespace ostinato::python
