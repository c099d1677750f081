// Programs over op calls, made from what ir/symbolic.py and ir/tape.py derive.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include "autograd/tape_program.hpp"
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

nb::object derive_function, derive_tape_function;

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

// The axis, the sizes of the result, and the index of each operand.
void read_selected(const Program& p, Instruction& step, nb::handle spec) {
  const std::vector<const Param*> params = attributes_of(*step.op);
  for (nb::handle a : spec["attrs"]) {
    step.attrs.push_back(template_from(p, a, *params.at(step.attrs.empty() ? 0 : 1)));
  }
  if (step.attrs.size() != 3 || step.attrs[2].sizes.size() != step.operands.size()) {
    refuse("sums what it has no places for");
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
  static constexpr const char* names[] = {"call",     "add",   "sum_selected", "gradient",
                                          "function", "enter", "leave",        "deliver"};
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
  else if (step.kind == Instruction::sum_selected)
    read_selected(p, step, spec);
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

nb::list describe(std::span<const Pattern> patterns) {
  nb::list out;
  for (const Pattern& p : patterns) out.append(describe(p));
  return out;
}

// Of sizes only how many there are.
nb::list describe(const OpInfo& op, std::span<const Attr> attrs) {
  nb::list out;
  std::vector<const Param*> params = attributes_of(op);
  for (size_t i = 0; i < params.size(); ++i) {
    std::string_view kind = params[i]->kind;
    if (kind == "size" && attrs[i].is_int()) {
      out.append(0);
    } else if (kind == "sizes" && attrs[i].is_sizes()) {
      out.append(nb::cast(Attr(Sizes(attrs[i].as_sizes().size()))));
    } else {
      out.append(nb::cast(attrs[i]));
    }
  }
  return out;
}

// Calls `fn` for (Program, it is derived and not loaded), and counts it.
Ref<Program> made_by(nb::object& fn, nb::tuple description, std::atomic<int64_t>& derived,
                     std::atomic<int64_t>& loaded) {
  try {
    auto [program, fresh] = nb::cast<std::tuple<nb::object, bool>>(fn(*description));
    ++(fresh ? derived : loaded);
    return nb::cast<ProgramObject&>(program).program;
  } catch (nb::python_error& e) {
    // The user meets the error that the derivation raised, not a wrapper of it.
    e.restore();
    throw PythonError{};
  }
}

Ref<Program> derive(const ProgramKey& key) {
  nb::gil_scoped_acquire locked;
  const char* what = key.kind == ProgramKind::forward ? "forward" : "gradient";
  nb::tuple call =
      nb::make_tuple(what, key.op->name, describe(key.operands), describe(key.results),
                     describe(*key.op, key.attrs), list_of(key.wanted), list_of(key.given));
  ProgramCounts& counts = program_counts();
  return made_by(derive_function, call, counts.derived, counts.loaded);
}

// For each operand of a pointwise op: (arguments its gradient kernel uses, passes g on), or None.
nb::object describe_kernels(const Node& node) {
  if (node.gradient || node.function) return nb::none();
  nb::list out;
  for (size_t i = 0; i < node.edges.size(); ++i) {
    const PointwiseEntry* e =
        node.op->pointwise->find_gradient(node.variant, static_cast<int>(i), node.compute);
    out.append(e ? nb::object(nb::make_tuple(e->uses, e->inner == nullptr)) : nb::none());
  }
  return out;
}

nb::tuple describe(const TapeStructure::Edge& e) { return nb::make_tuple(e.to, e.index, e.input); }

nb::tuple describe(const Node& node, std::span<const TapeStructure::Edge> edges) {
  nb::list leads;
  for (const TapeStructure::Edge& e : edges) leads.append(describe(e));
  nb::object name = node.op ? nb::cast(node.op->name) : nb::none();
  return nb::make_tuple(name, describe(node.operands()), describe(node.results()),
                        node.op ? describe(*node.op, node.attrs) : nb::list(), leads,
                        describe_kernels(node), node.variant,
                        nb::borrow(dtype_object(node.compute)),
                        node.function ? nb::cast(node.function->reach()) : nb::none());
}

Ref<Program> derive_tape(const TapeStructure& structure, std::span<Node* const> nodes) {
  nb::gil_scoped_acquire locked;
  nb::list described, inputs;
  for (size_t k = 0; k < nodes.size(); ++k) {
    described.append(describe(*nodes[k], structure.edges(k)));
  }
  for (const TapeStructure::Place& p : structure.inputs()) inputs.append(describe(p));
  nb::tuple tape = nb::make_tuple(described, structure.root_index(), inputs);
  ProgramCounts& counts = program_counts();
  return made_by(derive_tape_function, tape, counts.tape_derived, counts.tape_loaded);
}

nb::dict counts() {
  const ProgramCounts& c = program_counts();
  nb::dict out;
  out["derived"] = c.derived.load();
  out["loaded"] = c.loaded.load();
  out["tapes derived"] = c.tape_derived.load();
  out["tapes loaded"] = c.tape_loaded.load();
  out["tapes kept"] = static_cast<int64_t>(tape_programs_kept());
  out["tape runs"] = c.tape_runs.load();
  return out;
}

}  // namespace

void bind_programs(nb::module_& m) {
  nb::class_<ProgramObject>(m, "Program", "Op calls over numbered slots, for any sizes.")
      .def("__init__", &fill, "spec"_a);
  m.def(
      "set_derive",
      [](nb::object of_call, nb::object of_tape) {
        derive_function = std::move(of_call);
        derive_tape_function = std::move(of_tape);
        set_derive(derive);
        set_derive_tape(derive_tape);
      },
      "of_call"_a, "of_tape"_a);
  m.def("program_counts", &counts,
        "How many Programs of calls and of tapes were derived, and loaded from the disk, in this "
        "process; how many of tapes are kept, and how often backward ran by one.");
  m.def("tape_programs_enabled", &tape_programs_enabled);
  m.def("set_tape_programs_enabled", &set_tape_programs_enabled, "on"_a);
  m.def("clear_tape_programs", &clear_tape_programs,
        "Forget the Programs of tapes, and which tapes were seen.");
  // The functions go with the module: a static object would outlive the interpreter.
  m.attr("_derive_keeper") = nb::capsule(&derive_function, [](void*) noexcept {
    derive_function.reset();
    derive_tape_function.reset();
  });
}

}  // namespace ostinato::python
