// The tracer as captures see it.
#include <nanobind/nanobind.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "bindings/deliver.hpp"
#include "bindings/followed_regions.hpp"
#include "bindings/view_steps.hpp"
#include "trace/leave.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace ostinato::python {
namespace {

nb::object line_of(const CallSite& site) {
  if (!site.code) return nb::none();
  return nb::make_tuple(nb::borrow(site.code->co_filename),
                        PyCode_Addr2Line(site.code, site.instruction));
}

nb::list ids_to(std::span<const int> ids) {
  nb::list out;
  for (int id : ids) out.append(id);
  return out;
}

// (op name or None, operand ids, result ids, attributes, (file, line) or None, under no_grad, pin)
nb::list nodes_of(const Tracer& t) {
  nb::list out;
  const Trace& trace = t.trace();
  for (const TraceNode& n : trace.nodes) {
    nb::list attrs;
    for (const Attr& a : trace.attrs(n)) attrs.append(nb::cast(a));
    nb::object name = n.op ? nb::object(nb::str(n.op->name)) : nb::none();
    out.append(nb::make_tuple(name, ids_to(trace.operands(n)), ids_to(trace.results(n)), attrs,
                              line_of(n.site), n.no_grad, n.pin));
  }
  return out;
}

// (kind, dtype, shape, is a number, tensor of an input or number, requires grad)
nb::list values_of(const Tracer& t) {
  nb::list out;
  for (const TraceValue& v : t.values()) {
    const char* kind = v.kind == TraceValue::Kind::result  ? "result"
                       : v.kind == TraceValue::Kind::input ? "input"
                                                           : "number";
    nb::object tensor = v.tensor ? nb::steal(wrap(v.tensor)) : nb::none();
    bool wrapped = v.wrapped || (v.tensor && v.tensor->wrapped);
    out.append(nb::make_tuple(kind, nb::borrow(dtype_object(v.meta.dtype)),
                              nb::steal(sizes_to(v.meta.sizes)), wrapped, tensor, v.requires_grad));
  }
  return out;
}

// (tensor, input whose memory it shows, distance in elements, strides of both, whether gradients
// of one are those of the other)
nb::list aliases_of(const Tracer& t) {
  nb::list out;
  for (const TraceAlias& a : t.aliases()) {
    out.append(nb::make_tuple(a.tensor, a.root, a.tensor->offset - a.root->offset,
                              nb::steal(sizes_to(a.tensor.strides())),
                              nb::steal(sizes_to(a.root.strides())),
                              is_tied(a.root.get(), a.tensor)));
  }
  return out;
}

// (input, its value in the end, whether that has a gradient)
nb::list writes_of(const Tracer& t) {
  nb::list out;
  for (const TraceWrite& w : t.writes()) {
    out.append(nb::make_tuple(w.input, w.value, w.recorded));
  }
  return out;
}

// (leaf, its grad before, the value that it becomes, whether it is that tensor still)
nb::list grad_changes_of(Tracer& t) {
  nb::list out;
  for (const GradChange& c : t.grad_changes()) {
    out.append(nb::make_tuple(nb::cast(c.leaf), nb::cast(c.before), c.value, c.kept));
  }
  return out;
}

nb::list fixed_layouts_of(const Tracer& t) {
  nb::list out;
  for (const Tensor& given : t.fixed_layouts()) {
    out.append(nb::make_tuple(given, nb::steal(sizes_to(given.strides()))));
  }
  return out;
}

// (leaves, whether a node on the way is released)
nb::tuple path_of(const Tracer& t, const std::vector<int>& roots) {
  GradientPath path = t.path_of(roots);
  return nb::make_tuple(nb::cast(path.leaves), path.released);
}

nb::tuple source_of(const Tracer& t, const Tensor& view) {
  ViewSteps steps;
  Tensor source = t.source_of(view, steps);
  return nb::make_tuple(source, steps);
}

PyObject* leave_hook = nullptr;

// Calls the hook, which takes why and ends the region.
bool leave_by_hook(const std::string& why) {
  if (!leave_hook) return false;
  PyGILState_STATE gil = PyGILState_Ensure();
  PyObject* left = PyObject_CallFunction(leave_hook, "s", why.c_str());
  const bool fine = left == Py_True;
  Py_XDECREF(left);
  PyGILState_Release(gil);
  if (!left) throw PythonError{};
  return fine;
}

// Does again, now, what a node of a trace recorded.
std::vector<Tensor> run_node(const std::string& name, const std::vector<Tensor>& operands,
                             const std::vector<Attr>& attrs, nb::object line) {
  const OpInfo* op = find_op(name);
  if (!op) throw nb::key_error(name.c_str());
  if (!line.is_none()) set_call_site(nb::object(line[0]).ptr(), nb::cast<int>(line[1]));
  nb::gil_scoped_release unlocked;
  std::vector<Tensor> results(op->results);
  call_op(*op, operands, attrs, results.data());
  return results;
}

void bind_tracer(nb::module_& m) {
  nb::class_<ViewSteps>(m, "ViewSteps", "View ops that lead from a tensor to a view of it.")
      .def("__len__", [](const ViewSteps& v) { return v.size(); });
  nb::class_<Tracer>(m, "Tracer", "Records what the dispatcher is asked to do.")
      .def(nb::init<bool>(), "following"_a = false)
      .def("start", &Tracer::start)
      .def("stop", &Tracer::stop)
      .def_prop_ro("number", &Tracer::number, "No other capture has it.")
      .def("nodes", &nodes_of)
      .def("values", &values_of)
      .def("inputs", &Tracer::inputs)
      .def(
          "device", [](const Tracer& t) { return nb::borrow(device_object(t.device())); },
          "Where the region runs.")
      .def("writes", &writes_of)
      .def("grad_changes", &grad_changes_of)
      .def("path_of", &path_of, "roots"_a)
      .def("is_given", &Tracer::is_given, "tensor"_a)
      .def("aliases", &aliases_of)
      .def("source_of", &source_of, "tensor"_a,
           "The tensor that this one is a view of, itself no view; how it is made.")
      .def("fixed_layouts", &fixed_layouts_of,
           "(tensor, strides) of those from outside on whose layout the region relies.")
      .def("is_empty", &Tracer::is_empty, "Whether nothing was asked for.")
      .def(
          "cut", [](Tracer& t) { return tuple_of(t.cut()); },
          "(held by user code, given to the region, key: equal for regions of one Program)")
      .def(
          "deliver",
          [](const Tracer& t, const std::vector<Tensor>& held, const std::vector<Tensor>& values) {
            deliver(t, held, values);
          },
          "held"_a, "values"_a, "Tensors of the finished region become what it gave for them.")
      .def("spare", &Tracer::spare, "tensor"_a,
           "Nobody needs the elements of a tensor of this region, though it is held.")
      .def("value_of", &Tracer::value_of, "tensor"_a)
      .def("add_input", &Tracer::add_input, "tensor"_a);
}

}  // namespace

void bind_trace(nb::module_& m) {
  bind_tracer(m);
  m.def(
      "set_leave_hook",
      [](nb::object hook) {
        Py_XSETREF(leave_hook, hook.is_none() ? nullptr : Py_NewRef(hook.ptr()));
        set_leave_function(&leave_by_hook);
      },
      "hook"_a.none(), "Called with the reason where a region has to end; True where it did.");
  m.def(
      "leave_region", [](const std::string& why) { return leave_region(why); }, "why"_a,
      "Ends the running region; whether it could be left.");
  m.def(
      "is_following", [] { return Tracer::active() && Tracer::active()->is_following(); },
      "Whether a function runs along its regions.");
  m.def("run_node", &run_node, "name"_a, "operands"_a, "attrs"_a, "line"_a.none() = nb::none(),
        "The results of an op on flat operands, None for an absent one; `line` is the (file, line) "
        "that errors tell.");
  m.def(
      "is_learning", [] { return Tracer::active() && !Tracer::active()->is_following(); },
      "Whether a capture goes on that replays will stand for: what it relies on matters.");
  m.def("exchange_pin", &exchange_pin, "pin"_a);
  m.def("is_capturing", [] { return Tracer::active() != nullptr; });
  m.def(
      "recorded_ops",
      [] {
        const Tracer* tracer = Tracer::active();
        return tracer ? tracer->trace().nodes.size() : 0;
      },
      "How many ops the running region has so far.");
}

}  // namespace ostinato::python
