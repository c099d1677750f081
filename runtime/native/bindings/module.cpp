// The extension module ostinato.runtime._C.
#include <nanobind/nanobind.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/vector.h>

#include "bindings/casters.hpp"
#include "blas.hpp"
#include "core/allocator.hpp"
#include "core/parallel.hpp"
#include "dispatch/many.hpp"
#include "dispatch/op_table.hpp"
#include "trace/tracer.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace ostinato::python {

PyTypeObject* make_tensor_type();
void set_dtype_objects(PyObject* list);
void set_error_classes(PyObject* list);
void set_number_hook(PyObject* hook);
void set_package_prefix(const char* prefix);
void bind_autograd(nb::module_& m);
void bind_channel(nb::module_& m);
void bind_compiled(nb::module_& m);
void bind_cuda(nb::module_& m);
void bind_cuda_memory(nb::module_& m);
void bind_device(nb::module_& m);
void bind_interop(nb::module_& m);
void bind_profile(nb::module_& m);
void bind_profiler(nb::module_& m);
void bind_programs(nb::module_& m);
void bind_random(nb::module_& m);
void bind_replay(nb::module_& m);
void bind_trace(nb::module_& m);

namespace {

// (name, parameters, results, flags): what a table test compares with ir/ops.
nb::list schemas() {
  nb::list out;
  for (uint16_t i = 0; i < op_count(); ++i) {
    const OpInfo& op = op_info(i);
    nb::list params;
    for (const Param& p : op.params) params.append(nb::make_tuple(p.name, p.kind, p.required));
    bool ready = op.kind == OpKind::pointwise || op.kernel || op.view_fn;
    bool on_cuda = op.kind == OpKind::pointwise || op.cuda_kernel || op.view_fn;
    out.append(nb::make_tuple(op.name, params, op.results, op.native, ready, on_cuda));
  }
  return out;
}

nb::object call_named(nb::str name, nb::args args, nb::kwargs kwargs) {
  const OpInfo* op = find_op(name.c_str());
  if (!op) throw nb::key_error(name.c_str());
  std::vector<PyObject*> all;
  for (nb::handle a : args) all.push_back(a.ptr());
  nb::list names;
  for (auto [key, value] : kwargs) {
    names.append(key);
    all.push_back(value.ptr());
  }
  nb::tuple keys(names);
  PyObject* result = call_from_python(*op, false, all.data(), static_cast<Py_ssize_t>(args.size()),
                                      kwargs.size() ? keys.ptr() : nullptr);
  if (!result) throw nb::python_error();
  return nb::steal(result);
}

// Runs `name` into `targets`, which take its results in place.
void call_into(nb::str name, const std::vector<Tensor>& targets, nb::args args) {
  const OpInfo* op = find_op(name.c_str());
  if (!op || targets.size() != op->results) throw nb::key_error(name.c_str());
  std::vector<Tensor> operands;
  std::vector<Attr> attrs;
  size_t at = 0;
  for (const Param& p : op->params) {
    PyObject* value = at < args.size() ? args[at++].ptr() : nullptr;
    if (p.is_operand)
      operands.push_back(operand_from(value ? value : Py_None, op->name, p.name));
    else
      attrs.push_back(value ? attr_from(value, *op, p) : p.fallback);
  }
  note_call_site(operands);
  nb::gil_scoped_release unlocked;
  call_op_into(*op, operands, attrs, targets);
}

// The same for lists of targets and of first operands, which share the other arguments. Numbers
// among these are none of the code: a region that is followed takes them as inputs.
void call_into_many(nb::str name, std::vector<std::vector<Tensor>> targets,
                    std::vector<std::vector<Tensor>> operands, nb::args shared) {
  const OpInfo* op = find_op(name.c_str());
  Tracer* const active = Tracer::active();
  Tracer* const tracer = active && active->is_following() ? active : nullptr;
  if (!op || targets.size() != operands.size()) throw nb::key_error(name.c_str());
  if (operands.empty()) return;
  const size_t own = operands[0].size();
  std::vector<Attr> attrs;
  size_t at = 0;
  for (const Param& p : op->params) {
    if (at++ < own) continue;
    nb::handle value = shared[at - 1 - own];
    if (!p.is_operand) {
      attrs.push_back(attr_from(value.ptr(), *op, p));
      continue;
    }
    const Tensor operand = operand_from(value.ptr(), op->name, p.name);
    if (tracer && operand->wrapped) tracer->add_input(operand);
    for (std::vector<Tensor>& some : operands) some.push_back(operand);
  }
  note_call_site(operands[0]);
  nb::gil_scoped_release unlocked;
  call_op_into_many(*op, operands, attrs, targets);
}

}  // namespace
}  // namespace ostinato::python

NB_MODULE(_C, m) {
  using namespace ostinato;
  using namespace ostinato::python;
  m.doc() = "The native runtime.";
  load_pointwise(active_isa());
  nb::register_exception_translator([](const std::exception_ptr& p, void*) {
    try {
      std::rethrow_exception(p);
    } catch (const Error&) {
      set_error();
    } catch (const PythonError&) {
    }
  });
  m.attr("Tensor") = nb::steal(reinterpret_cast<PyObject*>(make_tensor_type()));
  nb::module_ ops = m.def_submodule("ops", "The ops of the table as functions.");
  PyModule_AddFunctions(ops.ptr(), const_cast<PyMethodDef*>(op_functions()));
  m.def("set_dtypes", [](nb::list l) { set_dtype_objects(l.ptr()); }, "dtypes"_a);
  m.def("set_errors", [](nb::list l) { set_error_classes(l.ptr()); }, "classes"_a);
  m.def("set_package", [](const std::string& p) { set_package_prefix(p.c_str()); }, "prefix"_a);
  m.def("set_number_hook", [](nb::handle fn) { set_number_hook(fn.ptr()); }, "hook"_a.none());
  m.def("set_literals_hook", [](nb::handle fn) { set_literals_hook(fn.ptr()); }, "hook"_a);
  m.def("load_blas", [](const std::string& path) { blas::load(path); }, "path"_a);
  m.def("num_threads", [] { return num_threads(); });
  m.def("set_num_threads", [](int n) { set_num_threads(n); }, "count"_a);
  m.def("schemas", &schemas);
  m.def("call_into", &call_into, "name"_a, "targets"_a, "args"_a);
  m.def("call_into_many", &call_into_many, "name"_a, "targets"_a, "operands"_a, "shared"_a);
  m.def("call", &call_named, "name"_a, "args"_a, "kwargs"_a);
  bind_autograd(m);
  bind_channel(m);
  bind_compiled(m);
  bind_cuda(m);
  bind_cuda_memory(m);
  bind_device(m);
  bind_interop(m);
  bind_profile(m);
  bind_profiler(m);
  bind_programs(m);
  bind_random(m);
  bind_replay(m);
  bind_trace(m);
}
