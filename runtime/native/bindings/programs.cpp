// Programs over op calls, made from what ir/symbolic.py and ir/tape.py derive.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include "bindings/spec.hpp"
#include "program/counts.hpp"
#include "program/derived.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace ostinato::python {
namespace {

struct ProgramObject {
  Ref<Program> program;
};

nb::object derive_function;

[[noreturn]] void refuse(const std::string& what) {
  throw Error(ErrorKind::value, "a Program " + what);
}

void check_slot(const Program& p, int slot) {
  if (slot < -1 || slot >= p.slots) refuse("has no slot " + std::to_string(slot));
}

std::vector<int> slots_from(const Program& p, nb::handle list) {
  auto slots = nb::cast<std::vector<int>>(list);
  for (int s : slots) check_slot(p, s);
  return slots;
}

// Steps (kind, a, b, call). What they read exists in the calls that have the Program's key.
SizeCode code_from(const Program& p, nb::handle steps) {
  SizeCode code;
  int depth = 0;
  for (nb::handle step : steps) {
    auto [kind, a, b, call] = nb::cast<std::tuple<int, int64_t, int64_t, int>>(step);
    if (kind < 0 || kind > SizeStep::min || call < 0 || call >= p.serves) {
      refuse("has an unknown size step");
    }
    depth += kind <= SizeStep::attr ? 1 : -1;
    if (depth < 1 || depth > kSizeDepth) refuse("has a size expression out of bounds");
    code.push_back({static_cast<SizeStep::Kind>(kind), a, b, call});
  }
  if (depth != 1) refuse("has a size expression without an end");
  return code;
}

// ("constant", value), ("size", code) or ("sizes", [code, ...]).
AttrTemplate template_from(const Program& p, nb::handle spec, const Param& param) {
  AttrTemplate t;
  std::string kind = nb::cast<std::string>(spec[0]);
  if (kind == "constant") {
    t.constant = attr_of(spec[1], param);
  } else if (kind == "size") {
    t.sizes.push_back(code_from(p, spec[1]));
  } else {
    t.list = true;
    for (nb::handle code : spec[1]) t.sizes.push_back(code_from(p, code));
  }
  return t;
}

void read_call(const Program& p, Instruction& step, nb::handle spec) {
  std::vector<const Param*> params = attributes_of(*step.op);
  for (nb::handle a : spec["attrs"]) {
    step.attrs.push_back(template_from(p, a, *params.at(step.attrs.size())));
  }
  if (step.attrs.size() != params.size() || step.results.size() != step.op->results) {
    refuse("calls " + std::string(step.op->name) + " with another signature");
  }
}

void read_gradient(Instruction& step, nb::handle spec) {
  const PointwiseOp* op = step.op->pointwise;
  step.dtype = named_dtype(spec["dtype"]);
  if (op) {
    step.entry = op->find_gradient(nb::cast<int>(spec["variant"]), step.operand,
                                   named_dtype(spec["compute"]));
  }
  if (!step.entry) refuse("wants a gradient of " + std::string(step.op->name) + " that is missing");
}

Instruction instruction_from(const Program& p, nb::handle spec) {
  static constexpr const char* names[] = {"call", "add", "gradient", "enter", "leave", "deliver"};
  Instruction step;
  std::string name = nb::cast<std::string>(spec["kind"]);
  const auto* kind = std::find(std::begin(names), std::end(names), name);
  if (kind == std::end(names)) refuse("has the unknown step " + name);
  step.kind = static_cast<Instruction::Kind>(kind - names);
  step.operands = nb::cast<std::vector<int>>(spec["operands"]);
  step.last = nb::cast<std::vector<int>>(spec["last"]);
  step.results = slots_from(p, spec["results"]);
  step.served = nb::cast<int>(spec["call"]);
  step.operand = nb::cast<int>(spec["operand"]);
  if (step.kind != Instruction::enter) {  // which names slots of the node
    for (int s : step.operands) check_slot(p, s);
  }
  for (int i : step.last) {
    if (step.operands.at(static_cast<size_t>(i)) < 0) refuse("frees an operand that is absent");
  }
  if (step.served < 0 || step.served >= p.serves) refuse("has a step of no call");
  if (step.kind > Instruction::gradient) return step;
  step.op = named_op(spec["op"]);
  if (step.kind == Instruction::gradient)
    read_gradient(step, spec);
  else
    read_call(p, step, spec);
  return step;
}

void fill(ProgramObject* object, nb::dict spec) {
  new (object) ProgramObject{Ref<Program>(new Program)};
  Program& p = *object->program;
  p.inputs = nb::cast<int>(spec["inputs"]);
  p.slots = nb::cast<int>(spec["slots"]);
  p.serves = nb::cast<int>(spec["serves"]);
  for (nb::handle n : spec["numbers"]) {
    p.numbers.emplace_back(nb::cast<int>(n[0]), operand_from(n[1].ptr(), "program", "number"));
    check_slot(p, p.numbers.back().first);
  }
  for (nb::handle i : spec["steps"]) p.instructions.push_back(instruction_from(p, i));
  p.outputs = slots_from(p, spec["outputs"]);
  p.reads.resize(static_cast<size_t>(p.inputs));
  for (int slot : slots_from(p, spec["reads"])) p.reads.at(static_cast<size_t>(slot)) = true;
  if (p.inputs > p.slots) refuse("has more inputs than slots");
}

// (dtype, rank, mask of the axes of size 1, is a number), None for an absent operand.
nb::object describe(const Pattern& p) {
  if (!p.present()) return nb::none();
  return nb::make_tuple(nb::borrow(dtype_object(p.dtype())), p.ndim(), p.ones(), p.is_number());
}

template <class T>
nb::list list_of(const T& values) {
  nb::list out;
  for (const auto& v : values) out.append(v);
  return out;
}

Ref<Program> derive(const ProgramKey& key) {
  nb::gil_scoped_acquire locked;
  nb::list operands, results, attrs;
  for (const Pattern& p : key.operands) operands.append(describe(p));
  for (const Pattern& p : key.results) results.append(describe(p));
  for (const Attr& a : key.attrs) attrs.append(nb::cast(a));
  const char* what = key.kind == ProgramKind::forward ? "forward" : "gradient";
  try {
    nb::object made = derive_function(what, key.op->name, operands, results, attrs,
                                      list_of(key.wanted), list_of(key.given));
    auto [program, fresh] = nb::cast<std::tuple<nb::object, bool>>(made);
    ++(fresh ? program_counts().derived : program_counts().loaded);
    return nb::cast<ProgramObject&>(program).program;
  } catch (nb::python_error& e) {
    // The user meets the error that the derivation raised, not a wrapper of it.
    e.restore();
    throw PythonError{};
  }
}

}  // namespace

void bind_programs(nb::module_& m) {
  nb::class_<ProgramObject>(m, "Program", "Op calls over numbered slots, for any sizes.")
      .def("__init__", &fill, "spec"_a);
  m.def(
      "set_derive",
      [](nb::object fn) {
        derive_function = std::move(fn);
        set_derive(derive);
      },
      "function"_a);
  m.def(
      "derived_programs", [] { return program_counts().derived.load(); },
      "How many Programs of single calls were derived in this process.");
  m.def(
      "loaded_programs", [] { return program_counts().loaded.load(); },
      "How many Programs of single calls came from the disk.");
  // The function goes with the module: a static object would outlive the interpreter.
  m.attr("_derive_keeper") =
      nb::capsule(&derive_function, [](void* p) noexcept { static_cast<nb::object*>(p)->reset(); });
}

}  // namespace ostinato::python
