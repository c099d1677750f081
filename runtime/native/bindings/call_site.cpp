// The user's line: the innermost frame whose code is not the package's.
#include <Python.h>
#include <opcode.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>

#include "autograd/anomaly.hpp"
#include "bindings/python.hpp"
#include "cuda/memory.hpp"
#include "trace/tracer.hpp"

namespace ostinato::python {
namespace {

std::string package_prefix;

// That ran last: its file needs no other look. Kept, so that no other one takes its address.
PyCodeObject* last_of_user = nullptr;  // under the GIL

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

// Where `frame` runs. Python 3.11 runs a call that it has specialised at PRECALL, one instruction
// and its cache before the CALL where the same call ran until then: that is its place.
int instruction_of(PyFrameObject* frame, [[maybe_unused]] const PyCodeObject* code) {
  const int at = PyFrame_GetLasti(frame);
#if PY_VERSION_HEX < 0x030C0000
  constexpr int kCall = 4;  // bytes from the one to the other
  constexpr auto kSpecialised = std::to_array<uint8_t>(
      {PRECALL_BOUND_METHOD, PRECALL_BUILTIN_CLASS, PRECALL_BUILTIN_FAST_WITH_KEYWORDS,
       PRECALL_METHOD_DESCRIPTOR_FAST_WITH_KEYWORDS, PRECALL_NO_KW_BUILTIN_FAST,
       PRECALL_NO_KW_BUILTIN_O, PRECALL_NO_KW_METHOD_DESCRIPTOR_FAST,
       PRECALL_NO_KW_METHOD_DESCRIPTOR_NOARGS, PRECALL_NO_KW_METHOD_DESCRIPTOR_O,
       PRECALL_NO_KW_STR_1, PRECALL_NO_KW_TUPLE_1, PRECALL_PYFUNC});
  const auto running = static_cast<uint8_t>(at < 0 ? 0 : code->co_code_adaptive[at]);
  if (std::ranges::find(kSpecialised, running) != kSpecialised.end()) return at + kCall;
#endif
  return at;
}

// Null code where no frame is the user's.
CallSite running_site() {
  PyFrameObject* frame = PyEval_GetFrame();
  Py_XINCREF(frame);
  while (frame) {
    PyCodeObject* code = PyFrame_GetCode(frame);
    if (code == last_of_user || !is_of_package(code)) {
      const CallSite found{code, instruction_of(frame, code)};
      Py_DECREF(frame);
      if (code == last_of_user) return found;
      Py_INCREF(code);
      Py_XSETREF(last_of_user, code);
      return found;
    }
    Py_DECREF(code);
    PyFrameObject* back = PyFrame_GetBack(frame);
    Py_DECREF(frame);
    frame = back;
  }
  return {};
}

// The text lives on, and with it the code object by which it is found.
const std::string* lasting_text(const CallSite& site) {
  static auto& lines = *new std::map<std::pair<PyCodeObject*, int>, std::string>;  // under the GIL
  const auto [it, fresh] = lines.try_emplace({site.code, site.instruction});
  if (fresh) {
    Py_INCREF(site.code);
    it->second = site_text(site);
  }
  return &it->second;
}

// Whether memory of an op is to remember its line. Finding that costs a tenth of a microsecond,
// too much for small ops on a device, but not where the tape wants it too, or memory is made or
// moved.
bool notes_holder(std::span<const Tensor> operands, bool recorded) {
  const cuda::MemoryHistory kept = cuda::memory_history().load(std::memory_order_relaxed);
  if (kept != cuda::MemoryHistory::cheap) return kept == cuda::MemoryHistory::all;
  if (!cuda::is_in_use()) return false;
  return recorded || operands.empty() || !operands[0] || operands[0].device().is_cpu();
}

}  // namespace

bool is_of_package(PyCodeObject* code) {
  Py_ssize_t n = 0;
  const char* file = PyUnicode_AsUTF8AndSize(code->co_filename, &n);
  return file && static_cast<size_t>(n) > package_prefix.size() &&
         std::memcmp(file, package_prefix.data(), package_prefix.size()) == 0;
}

void set_package_prefix(const char* prefix) {
  package_prefix = prefix;
  set_site_functions(site_text, site_copy, site_release);
}

void note_call_site(std::span<const Tensor> operands) {
  const bool recorded = Tracer::active() || needs_grad(operands) || looks_for_anomaly();
  const bool holds = notes_holder(operands, recorded);
  if (!recorded && !holds) return cuda::set_memory_holder(nullptr);
  CallSite found = running_site();
  cuda::set_memory_holder(holds && found.code ? lasting_text(found) : nullptr);
  if (!recorded) {
    Py_XDECREF(found.code);
    return;
  }
  CallSite& site = call_site();
  Py_CLEAR(site.code);
  site = found;
}

void set_call_site(PyObject* file, int line) {
  CallSite& site = call_site();
  Py_CLEAR(site.code);
  const char* name = PyUnicode_AsUTF8(file);
  if (!name) throw PythonError{};
  site = {PyCode_NewEmpty(name, "<captured>", line), 0};
  if (!site.code) throw PythonError{};
}

std::string running_line() {
  CallSite site = running_site();
  if (!site.code) return {};
  std::string text = site_text(site);
  site_release(site);
  return text;
}

CodePlace running_place() {
  const CallSite site = running_site();
  Py_XDECREF(site.code);  // which runs
  return {site.code, site.instruction};
}

void note_memory_holder() { note_call_site({}); }

}  // namespace ostinato::python
