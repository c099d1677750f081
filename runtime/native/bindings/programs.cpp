// Makes Programs from what ir/symbolic.py derives.
#include <nanobind/nanobind.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include "bindings/casters.hpp"
#include "program/program.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace ostinato::python {
namespace {

nb::object derive_function;

// (dtype, rank, mask of the axes of size 1, is a number), None for an absent operand.
nb::object describe(const Tensor& t) {
  if (!t) return nb::none();
  uint32_t ones = 0;
  for (int i = 0; i < t.ndim(); ++i) ones |= static_cast<uint32_t>(t.sizes()[i] == 1) << i;
  return nb::make_tuple(nb::borrow(dtype_object(t.dtype())), t.ndim(), ones, t->wrapped);
}

SizeCode code_from(nb::handle steps) {
  SizeCode out;
  for (nb::handle step : steps) {
    auto [kind, a, b] = nb::cast<std::tuple<int, int64_t, int64_t>>(step);
    out.push_back({static_cast<SizeStep::Kind>(kind), a, b});
  }
  return out;
}

// ("constant", value), ("size", code) or ("sizes", [code, ...]).
AttrTemplate attr_template_from(nb::handle spec) {
  AttrTemplate t;
  std::string kind = nb::cast<std::string>(spec[0]);
  if (kind == "constant") {
    t.constant = nb::cast<Attr>(spec[1]);
  } else if (kind == "size") {
    t.sizes.push_back(code_from(spec[1]));
  } else {
    t.list = true;
    for (nb::handle code : spec[1]) t.sizes.push_back(code_from(code));
  }
  return t;
}

Instruction instruction_from(nb::handle spec) {
  Instruction step;
  std::string name = nb::cast<std::string>(spec[0]);
  step.op = find_op(name);
  if (!step.op) throw Error(ErrorKind::runtime, "a Program calls the unknown op " + name);
  step.operands = nb::cast<std::vector<int>>(spec[1]);
  step.results = nb::cast<std::vector<int>>(spec[2]);
  for (nb::handle a : spec[3]) step.attrs.push_back(attr_template_from(a));
  step.frees = nb::cast<std::vector<int>>(spec[4]);
  return step;
}

Program* program_from(nb::handle spec) {
  auto p = std::make_unique<Program>();
  p->slots = nb::cast<int>(spec["slots"]);
  for (nb::handle n : spec["numbers"]) {
    p->numbers.emplace_back(nb::cast<int>(n[0]), operand_from(n[1].ptr(), "program", "number"));
  }
  for (nb::handle i : spec["instructions"]) p->instructions.push_back(instruction_from(i));
  p->outputs = nb::cast<std::vector<int>>(spec["outputs"]);
  p->reads = nb::cast<uint64_t>(spec["reads"]);
  return p.release();
}

Program* derive(ProgramKind kind, const OpCall& call, std::span<const Tensor> results,
                uint32_t wanted) {
  nb::gil_scoped_acquire locked;
  nb::list operands, made, attrs;
  for (const Tensor& t : call.operands) operands.append(describe(t));
  for (const Tensor& t : results) made.append(describe(t));
  for (const Attr& a : call.attrs) attrs.append(nb::cast(a));
  const char* what = kind == ProgramKind::forward ? "forward" : "gradient";
  try {
    return program_from(derive_function(what, call.op->name, operands, made, attrs, wanted));
  } catch (nb::python_error& e) {
    // The user meets the error that the derivation raised, not a wrapper of it.
    e.restore();
    throw PythonError{};
  }
}

}  // namespace

void bind_programs(nb::module_& m) {
  m.def(
      "set_derive",
      [](nb::object fn) {
        derive_function = std::move(fn);
        set_derive(derive);
      },
      "function"_a);
  m.def("derived_programs", &derived_count, "How many Programs were derived in this process.");
  // The function goes with the module: a static object would outlive the interpreter.
  m.attr("_derive_keeper") =
      nb::capsule(&derive_function, [](void* p) noexcept { static_cast<nb::object*>(p)->reset(); });
}

}  // namespace ostinato::python
