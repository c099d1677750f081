// Compiled Programs from what codegen/program.py serialises.
#include "program/compiled.hpp"

#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <cstring>
#include <numeric>

#include "autograd/region.hpp"
#include "bindings/spec.hpp"
#include "program/cuda/graph.hpp"
#include "program/cuda/products.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace ostinato::python {
namespace {

Sizes sizes_at(nb::handle row, const char* key) { return sizes_from(row[key].ptr()); }

int index_or(nb::handle value) { return value.is_none() ? -1 : nb::cast<int>(value); }

Placed placed_from(nb::handle row) {
  static constexpr const char* names[] = {"input", "output", "arena", "constant", "host"};
  std::string space = nb::cast<std::string>(row["space"]);
  Placed p{Space::input,
           0,
           named_dtype(row["dtype"]),
           sizes_at(row, "sizes"),
           sizes_at(row, "strides"),
           nb::cast<int64_t>(row["start"])};
  for (int i = 0; i < 5; ++i) {
    if (space == names[i]) p.space = static_cast<Space>(i);
  }
  p.place = nb::cast<int64_t>(
      row[p.space == Space::arena || p.space == Space::host ? "offset" : "index"]);
  return p;
}

// Kernels of the CPU are found in the Program's object, those of a GPU among its cubins.
void find_kernel(CompiledProgram* p, CompiledStep& step, nb::handle row) {
  if (nb::borrow<nb::dict>(row).contains("sizes"))
    step.sizes = nb::cast<std::vector<int64_t>>(row["sizes"]);
  if (p->device.is_cuda()) {
    step.cubin = p->cubins->number_of(step.name);
    step.programs = nb::cast<uint32_t>(row["programs"]);
    return;
  }
  if (!p->object) throw Error(ErrorKind::compile, "a Program launches kernels and has no object");
  step.kernel = reinterpret_cast<CompiledKernel>(p->object->function(step.name));
  step.extent = nb::cast<int64_t>(row["extent"]);
  step.grain = nb::cast<int64_t>(row["grain"]);
}

CompiledStep step_from(CompiledProgram* p, nb::handle row) {
  CompiledStep step;
  const auto lines = nb::cast<std::vector<std::string>>(row["lines"]);
  if (!lines.empty()) step.location = lines.front();
  if (nb::borrow<nb::dict>(row).contains("phase")) step.phase = nb::cast<std::string>(row["phase"]);
  const std::string kind = nb::cast<std::string>(row["kind"]);
  if (kind == "launch") {
    step.name = nb::cast<std::string>(row["kernel"]);
    step.tensors = nb::cast<std::vector<int>>(row["tensors"]);
    step.writes = nb::cast<int>(row["writes"]);
    find_kernel(p, step, row);
    return step;
  }
  step.tensors = nb::cast<std::vector<int>>(row["operands"]);
  step.results = nb::cast<std::vector<int>>(row["results"]);
  step.kind = kind == "upload" ? StepKind::upload : StepKind::call;
  if (step.kind == StepKind::upload) return step;
  step.name = nb::cast<std::string>(row["op"]);
  step.op = named_op(row["op"]);
  step.host = nb::cast<bool>(row["host"]);
  std::vector<const Param*> params = attributes_of(*step.op);
  size_t at = 0;
  for (nb::handle a : row["attrs"]) step.attrs.push_back(attr_of(a, *params.at(at++)));
  return step;
}

CubinKernel cubin_from(nb::handle row) {
  CubinKernel k;
  k.name = nb::cast<std::string>(row["name"]);
  k.symbol = nb::cast<std::string>(row["symbol"]);
  k.threads = 32 * nb::cast<uint32_t>(row["warps"]);
  k.shared = nb::cast<uint32_t>(row["shared"]);
  k.offset = nb::cast<size_t>(row["offset"]);
  return k;
}

// `cubins` are the records of the kernels in `object` where that is for a GPU.
// Of `like`, a Program that differs in sizes, are kernels and memory where it is given.
void fill(CompiledProgram* p, nb::dict spec, nb::bytes object, nb::object device, nb::list cubins,
          const CompiledProgram* like) {
  new (p) CompiledProgram;
  if (like) p->share(*like);
  p->device = device_from(device.ptr());
  p->arena_bytes = nb::cast<size_t>(spec["arena"]);
  p->host_bytes = nb::cast<size_t>(spec["host"]);
  const std::string_view code(object.c_str(), object.size());
  if (p->device.is_cuda() && !like) {
    std::vector<CubinKernel> kernels;
    for (nb::handle row : cubins) kernels.push_back(cubin_from(row));
    p->cubins = std::make_shared<Cubins>(std::string(code), std::move(kernels));
  } else if (!code.empty()) {
    p->object = std::make_shared<LoadedObject>(code);
  }
  for (nb::handle row : spec["inputs"]) {
    p->inputs.push_back({named_dtype(row["dtype"]), sizes_at(row, "sizes"),
                         nb::cast<bool>(row["number"]), nb::cast<bool>(row["host"])});
  }
  for (nb::handle row : spec["outputs"]) {
    p->outputs.push_back({named_dtype(row["dtype"]), sizes_at(row, "sizes"),
                          index_or(row["writes"]), index_or(row["input"]),
                          nb::cast<bool>(row["host"])});
  }
  for (nb::handle row : spec["constants"]) {
    p->constants.push_back(operand_from(nb::object(row["value"]).ptr(), "program", "constant"));
  }
  for (nb::handle row : spec["tensors"]) p->tensors.push_back(placed_from(row));
  for (nb::handle row : spec["instructions"]) p->steps.push_back(step_from(p, row));
}

using Shared = std::shared_ptr<CompiledProgram>;

// Calls `fn`, which Python holds and lets go.
NarrowFn narrow_by(nb::object fn) {
  std::shared_ptr<nb::object> held(new nb::object(std::move(fn)), [](nb::object* o) {
    const nb::gil_scoped_acquire locked;
    delete o;
  });
  return [held](const std::vector<int>& came) {
    const nb::gil_scoped_acquire locked;
    try {
      return nb::cast<Shared>((*held)(nb::cast(came)));
    } catch (nb::python_error& e) {
      e.restore();
      throw PythonError{};
    }
  };
}

// `kept`: (is an input, index); see RegionTies.
void fill_region(RegionProgram* p, Shared forward, nb::object backward, std::string name,
                 std::vector<int> results, std::vector<int> wanted,
                 const std::vector<std::pair<bool, int>>& kept, std::vector<int> spent,
                 size_t shown, Reach reach, nb::object narrow) {
  RegionTies ties{std::move(name), std::move(results), std::move(wanted), {}, std::move(spent),
                  shown,           std::move(reach)};
  for (const auto& [is_input, index] : kept) ties.kept.push_back({is_input, index});
  Shared gradient = backward.is_none() ? Shared() : nb::cast<Shared>(backward);
  new (p) RegionProgram(std::move(forward), std::move(gradient), std::move(ties),
                        narrow_by(std::move(narrow)));
}

void bind_region(nb::module_& m) {
  nb::class_<RegionProgram>(m, "RegionProgram",
                            "A forward and a backward Program; calls are nodes of the tape.")
      .def("__init__", &fill_region, "forward"_a, "backward"_a.none(), "name"_a, "results"_a,
           "wanted"_a, "kept"_a, "spent"_a, "shown"_a, "reach"_a, "narrow"_a)
      .def(
          "run",
          [](RegionProgram& p, const std::vector<Tensor>& inputs) {
            note_call_site(inputs);
            nb::gil_scoped_release unlocked;
            std::vector<int> all(p.shown());
            std::iota(all.begin(), all.end(), 0);
            return p.run(inputs, all);
          },
          "inputs"_a, "The results, in order, tied to the tape.");
}

// Keeps choices through two Python functions; a choice is (bytes, workspace, seconds, seconds of
// the library's first proposal).
class PythonKeeper : public cuda::blas::ChoiceKeeper {
 public:
  PythonKeeper(nb::object recall, nb::object keep)
      : recall_(std::move(recall)), keep_(std::move(keep)) {}

  bool recall(const std::string& product, cuda::blas::Choice& found) override {
    const nb::object kept = recall_(product);
    if (kept.is_none()) return false;
    const auto algorithm = nb::cast<nb::bytes>(kept[0]);
    if (algorithm.size() != sizeof found.algorithm) return false;
    std::memcpy(&found.algorithm, algorithm.c_str(), sizeof found.algorithm);
    found.workspace = nb::cast<size_t>(kept[1]);
    found.seconds = nb::cast<double>(kept[2]);
    found.first_seconds = nb::cast<double>(kept[3]);
    return true;
  }

  void keep(const std::string& product, const cuda::blas::Choice& made) override {
    const nb::bytes algorithm(&made.algorithm, sizeof made.algorithm);
    keep_(product, nb::make_tuple(algorithm, made.workspace, made.seconds, made.first_seconds));
  }

 private:
  nb::object recall_, keep_;
};

void choose_products_of(const CompiledProgram& p, nb::object recall, nb::object keep) {
  PythonKeeper keeper(std::move(recall), std::move(keep));
  choose_products(p, keeper);
}

nb::dict counters_of(const CompiledProgram& p) {
  const ProgramCounters c = p.counters();
  nb::dict out;
  out["builds"] = c.builds;
  out["replays"] = c.replays;
  out["patches"] = c.patches;
  out["recaptures"] = c.recaptures;
  out["copies"] = c.copies;
  return out;
}

std::vector<StepEdge> edges_of(const CompiledProgram& p, std::optional<int> lanes) {
  const int steps = static_cast<int>(p.steps.size());
  const std::vector<StepEdge> edges = order_steps(steps, accesses_of(p));
  return lanes ? in_lanes(steps, edges, *lanes) : edges;
}

std::vector<StepEdge> unordered_of(const CompiledProgram& p, const std::vector<StepEdge>& edges) {
  return unordered_steps(static_cast<int>(p.steps.size()), accesses_of(p), edges);
}

nb::list profile(CompiledProgram& p, const std::vector<Tensor>& inputs) {
  std::vector<double> seconds(p.steps.size());
  {
    nb::gil_scoped_release unlocked;
    p.run(inputs, seconds.data());
  }
  nb::list out;
  for (size_t i = 0; i < seconds.size(); ++i) {
    const CompiledStep& s = p.steps[i];
    out.append(nb::make_tuple(s.name, s.kind == StepKind::launch, s.location, seconds[i]));
  }
  return out;
}

}  // namespace

void bind_compiled(nb::module_& m) {
  bind_region(m);
  nb::class_<LoadedObject>(m, "LoadedObject", "Machine code of kernels, in memory.")
      .def(
          "__init__",
          [](LoadedObject* o, nb::bytes code) {
            new (o) LoadedObject(std::string_view(code.c_str(), code.size()));
          },
          "code"_a)
      .def(
          "address",
          [](const LoadedObject& o, const std::string& name) {
            return reinterpret_cast<uintptr_t>(o.function(name));
          },
          "name"_a, "Where the function `name` begins.");
  nb::class_<CompiledProgram>(m, "CompiledProgram",
                              "Kernel launches and op calls over planned memory.")
      .def("__init__", &fill, "spec"_a, "object"_a, "device"_a = "cpu", "cubins"_a = nb::list(),
           "like"_a.none() = nb::none())
      .def(
          "run",
          [](CompiledProgram& p, const std::vector<Tensor>& inputs) {
            nb::gil_scoped_release unlocked;
            return p.run(inputs);
          },
          "inputs"_a, "The results, in order.")
      .def("profile", &profile, "inputs"_a,
           "Runs once: (name, is a kernel, source line, seconds) of each step.")
      .def("counters", &counters_of,
           "How often: builds of the graph, replays, patches, recaptures, copies of inputs.")
      .def("choose_products", &choose_products_of, "recall"_a, "keep"_a,
           "Measures which algorithm each matrix product is to run by, unless `recall` knows.")
      .def("edges", &edges_of, "lanes"_a = nb::none(),
           "Pairs of steps, the second of which waits for the first; with `lanes` as many more as "
           "leave that many chains.")
      .def("unordered", &unordered_of, "edges"_a,
           "Pairs of steps that touch the same bytes and that `edges` leave unordered.")
      .def_ro("number", &CompiledProgram::number, "No other Program has it.")
      .def_ro("arena_bytes", &CompiledProgram::arena_bytes)
      .def_prop_ro("scratch_bytes", &CompiledProgram::scratch_bytes)
      .def_prop_ro("steps", [](const CompiledProgram& p) { return p.steps.size(); });
  m.def(
      "number", [](nb::handle v) { return operand_from(v.ptr(), "number", "value"); }, "value"_a,
      "A number as a 0-d tensor that promotes as Python numbers do.");
}

}  // namespace ostinato::python
