#include <nanobind/nanobind.h>
#include <nanobind/stl/vector.h>

#include "autograd/anomaly.hpp"
#include "autograd/view.hpp"
#include "bindings/casters.hpp"
#include "dispatch/autocast.hpp"
#include "ops.hpp"
#include "trace/leave.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace ostinato::python {
namespace {

const Tensor& expect_tensor(nb::handle given, const char* what) {
  if (is_tensor(given.ptr())) return tensor_of(given.ptr());
  throw Error(ErrorKind::type, std::string("backward: ") + what + " is a " +
                                   Py_TYPE(given.ptr())->tp_name + "; give a tensor");
}

Tensor seed_for(const Tensor& root, nb::handle given) {
  if (!given.is_none()) {
    const Tensor& seed = expect_tensor(given, "the gradient");
    if (seed.sizes() != root.sizes()) {
      throw Error(ErrorKind::gradient,
                  "backward: the gradient has another shape than the tensor; "
                  "give one of the same shape");
    }
    return seed;
  }
  if (root.numel() != 1) {
    throw Error(ErrorKind::gradient, "backward: the tensor has " + std::to_string(root.numel()) +
                                         " elements; call it on a single one, such as a sum or "
                                         "mean, or give a gradient");
  }
  const DeviceScope scope(root.device());
  Tensor one = number(1.0);
  Attr attrs[] = {Attr(root.sizes()), Attr(root.dtype())};
  return call_op(op_info(op::full), std::vector<Tensor>{one}, attrs);
}

void check_root(const Tensor& root) {
  if (!requires_grad(root)) {
    throw Error(ErrorKind::gradient,
                "backward: the tensor does not require grad, so nothing was recorded; set "
                "requires_grad on what it was computed from");
  }
}

// Gradients of `root` weighted by `seed`: into the leaves' grads, or of `inputs`.
std::vector<Tensor> run_backward(nb::handle root_object, nb::handle seed_object,
                                 const std::vector<Tensor>& inputs, bool retain, bool create) {
  const Tensor& root = expect_tensor(root_object, "what is to be differentiated");
  check_root(root);
  note_call_site({&root, 1});
  Tensor seed;
  {
    const GradMode off(false);
    seed = seed_for(root, seed_object);
  }
  for (const Tensor& t : inputs) {
    if (!t) throw Error(ErrorKind::type, "backward: an input is None; give a tensor");
  }
  if (Tracer* tracer = Tracer::active()) {
    if (create) {
      throw Error(ErrorKind::gradient,
                  "backward: create_graph=True came inside a compiled function, where gradients of "
                  "gradients are not recorded; call it outside");
    }
    std::vector<Tensor> made;
    if (is_in_region({&seed, 1}, [&] { made = tracer->gradient(root, seed, inputs, retain); }))
      return made;
    const Pause now;
    return run_backward(root_object, seed_object, inputs, retain, create);
  }
  refresh(root);
  for (const Tensor& t : inputs) refresh(t);
  nb::gil_scoped_release unlocked;
  return backward({&root, 1}, {&seed, 1}, inputs, {retain, create});
}

}  // namespace

void bind_autograd(nb::module_& m) {
  m.def(
      "autocast",
      [] {
        const auto shown = [](const std::optional<DType>& t) {
          return t ? nb::object(nb::borrow(dtype_object(*t))) : nb::object(nb::none());
        };
        return nb::make_tuple(shown(autocast().cpu), shown(autocast().cuda));
      },
      "The dtypes of this thread's autocast on the CPU and on CUDA; None where it is off.");
  m.def(
      "set_autocast",
      [](nb::object cpu, nb::object cuda) {
        const auto given = [](const nb::object& t) -> std::optional<DType> {
          DType dtype;
          if (t.is_none()) return std::nullopt;
          dtype_of(t.ptr(), &dtype);
          return dtype;
        };
        autocast() = {given(cpu), given(cuda)};
      },
      "cpu"_a.none(), "cuda"_a.none());
  m.def("grad_enabled", &grad_enabled);
  m.def("set_grad_enabled", &set_grad_enabled, "on"_a);
  m.def(
      "anomaly", [] { return static_cast<int>(anomaly()); },
      "What this thread looks for: 0 nothing, 1 NaN, 2 infinities as well.");
  m.def(
      "set_anomaly", [](int looked_for) { set_anomaly(static_cast<Anomaly>(looked_for)); },
      "looked_for"_a);
  m.def(
      "backward",
      [](nb::handle root, nb::handle seed, bool retain, bool create) {
        run_backward(root, seed, {}, retain || create, create);
      },
      "root"_a, "seed"_a.none(), "retain_graph"_a, "create_graph"_a);
  m.def(
      "gradients",
      [](nb::handle root, nb::handle seed, const std::vector<Tensor>& inputs, bool retain,
         bool create) { return run_backward(root, seed, inputs, retain || create, create); },
      "root"_a, "seed"_a.none(), "inputs"_a, "retain_graph"_a, "create_graph"_a);
}

}  // namespace ostinato::python
