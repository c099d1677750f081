// Replays of captured regions: guards are checked, inputs found, and results handed out, in C++.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <optional>

#include "autograd/region.hpp"
#include "bindings/input_guards.hpp"
#include "bindings/read_guards.hpp"
#include "bindings/view_steps.hpp"
#include "ops.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace ostinato::python {
namespace {

// A value reached from an object, or from the leaves of a call's arguments, by attributes and
// items.
class Path {
 public:
  explicit Path(nb::object root) : root_(std::move(root)) {}
  static Path argument(nb::object index) { return Path(nb::object()).item(std::move(index)); }
  Path attribute(nb::object name) const { return then({true, std::move(name)}); }
  Path item(nb::object key) const { return then({false, std::move(key)}); }

  nb::object read(nb::handle leaves) const {
    nb::object value = root_.is_valid() ? root_ : nb::borrow(leaves);
    for (const Step& s : steps_) {
      PyObject* next = s.attribute ? PyObject_GetAttr(value.ptr(), s.key.ptr())
                                   : PyObject_GetItem(value.ptr(), s.key.ptr());
      if (!next) throw PythonError{};
      value = nb::steal(next);
    }
    return value;
  }

  int traverse(visitproc visit, void* arg) const {
    Py_VISIT(root_.ptr());
    for (const Step& s : steps_) Py_VISIT(s.key.ptr());
    return 0;
  }
  void clear() {
    root_.reset();
    steps_.clear();
  }

 private:
  struct Step {
    bool attribute;
    nb::object key;
  };

  Path then(Step step) const {
    Path longer = *this;
    longer.steps_.push_back(std::move(step));
    return longer;
  }

  nb::object root_;  // null: the leaves
  std::vector<Step> steps_;
};

// A function of the leaves: a Path, which is read without calling Python, or any callable.
class Reader {
 public:
  explicit Reader(nb::object fn) : fn_(std::move(fn)) { nb::try_cast(fn_, path_); }
  nb::object operator()(nb::handle leaves) const {
    return path_ ? path_->read(leaves) : fn_(leaves);
  }
  PyObject* ptr() const { return fn_.ptr(); }

 private:
  nb::object fn_;
  const Path* path_ = nullptr;
};

struct Guard {
  Reader read;
  nb::object kind;
  nb::object value;

  bool holds(nb::handle leaves) const {
    nb::object now = read(leaves);
    if (kind.ptr() != reinterpret_cast<PyObject*>(&PyBool_Type)) return kind(now).equal(value);
    int truth = PyObject_IsTrue(now.ptr());
    if (truth < 0) throw PythonError{};
    return truth == (value.ptr() == Py_True);
  }
};

bool has_grad(const Tensor& t) { return t->autograd && t->autograd->grad; }

Given given_number(int input, nb::handle value) {
  Given g{input};
  PyObject* o = value.ptr();
  if (PyFloat_Check(o)) {
    g.real = PyFloat_AS_DOUBLE(o);
    return g;
  }
  return Given::number(input, operand_from(o, "compiled", "a live number"));
}

class Replay {
 public:
  Replay(nb::object program, nb::handle region)
      : owner_(program),
        tensors_(region),
        reads_(nb::object(region.attr("reads"))),
        inputs_(nb::len(nb::object(region.attr("sources")))) {
    nb::try_cast(program, program_);
    nb::try_cast(program, region_);
    int input = 0;
    for (nb::handle s : nb::object(region.attr("sources"))) add_source(input++, s);
    for (nb::handle g : nb::object(region.attr("guards"))) {
      guards_.push_back({Reader(g[0]), nb::object(g[1]), nb::object(g[2])});
    }
    for (nb::handle g : nb::object(region.attr("grad_guards"))) {
      grad_guards_.emplace_back(TensorSource(g[0]), nb::cast<bool>(g[1]));
    }
    for (nb::handle r : nb::object(region.attr("returned"))) {
      add_returned(nb::cast<std::string>(r[0]), r[1]);
    }
    for (nb::handle g : nb::object(region.attr("grads"))) {
      const int at = g[1].is_none() ? -1 : want(nb::cast<int>(g[1]));
      grads_.emplace_back(TensorSource(g[0]), at);
    }
    for (nb::handle a : nb::object(region.attr("assigned"))) {
      assigned_.push_back({want(nb::cast<int>(a[0])), nb::cast<int>(a[1])});
    }
  }

  bool fits(nb::handle leaves) {
    for (const auto& [leaf, had] : grad_guards_) {
      if (has_grad(Tensor(leaf.find(leaves))) != had) return false;
    }
    if (!tensors_.hold(leaves) || !reads_.hold()) return false;
    for (const Guard& g : guards_) {
      if (!g.holds(leaves)) return false;
    }
    return tensors_.are_apart(leaves);
  }
  bool are_apart(nb::handle leaves) { return tensors_.are_apart(leaves); }

  nb::list run(nb::list leaves) {
    SmallVector<Given, 16> given;
    for (const Source& s : sources_) given.push_back(find(s, leaves));
    std::vector<Tensor> made(wanted_.size());
    if (region_) {
      run_region(given, made);
    } else {
      nb::gil_scoped_release unlocked;
      program_->run(given, wanted_, made.data());
    }
    for (const auto& [source, at] : grads_) {
      const Tensor leaf(source.find(leaves));
      if (at >= 0)
        autograd_state(leaf).grad = made[at];
      else if (has_grad(leaf))
        leaf->autograd->grad = Tensor();
    }
    nb::list out;
    for (const Returned& r : returned_) out.append(handed(r, made, leaves));
    return out;
  }

  int traverse(visitproc visit, void* arg) const {
    Py_VISIT(owner_.ptr());
    for (const Source& s : sources_) {
      if (s.read) Py_VISIT(s.read->ptr());
    }
    for (const Guard& g : guards_) {
      Py_VISIT(g.read.ptr());
      Py_VISIT(g.kind.ptr());
      Py_VISIT(g.value.ptr());
    }
    for (const Returned& r : returned_) {
      if (r.live) Py_VISIT(r.live->ptr());
      Py_VISIT(r.same.ptr());
    }
    return reads_.traverse(visit, arg);
  }
  void clear() {
    sources_.clear();
    guards_.clear();
    returned_.clear();
    reads_.clear();
    owner_.reset();
  }

 private:
  struct Source {
    int input;
    std::optional<TensorSource> tensor = {};
    std::optional<Reader> read = {};  // a number
  };
  struct Returned {
    int wanted = -1;
    std::optional<Reader> live = {};
    std::optional<TensorSource> tensor = {};
    ViewSteps view = {};  // of the tensor, or of what is wanted
    nb::object same = {};
  };

  static nb::object handed(const Returned& r, std::span<const Tensor> made, nb::handle leaves) {
    if (r.live) return (*r.live)(leaves);
    if (r.wanted < 0 && !r.tensor) return r.same;
    const Tensor t = r.tensor ? Tensor(r.tensor->find(leaves)) : made[r.wanted];
    return nb::cast(r.view.empty() ? t : apply_views(t, r.view));
  }

  // A region's results belong to the tape outside, and so does what it changes in place there.
  void run_region(std::span<const Given> given, std::span<Tensor> made) {
    std::vector<Tensor> inputs = inputs_;
    for (const Given& g : given) inputs[g.input] = g.as_tensor();
    note_call_site(inputs);
    nb::gil_scoped_release unlocked;
    const std::vector<Tensor> results = region_->run(inputs);
    for (size_t i = 0; i < made.size(); ++i) made[i] = results[wanted_[i]];
    for (const auto& [at, target] : assigned_) {
      const Tensor pair[] = {inputs[target], made[at]};
      call_op_inplace(op_info(op::copy), pair, {});
    }
  }

  void add_source(int input, nb::handle described) {
    if (nb::cast<std::string>(described[0]) == "number") {
      sources_.push_back({input, {}, Reader(described[1])});
      return;
    }
    const TensorSource source(described);
    if (!source.is_fixed()) {
      sources_.push_back({input, source});
      return;
    }
    inputs_[input] = Tensor(source.find({}));
    if (program_) program_->keep(input, inputs_[input]);
  }

  // ("value", result), ("live", reader), ("tensor", source), ("same", object), or
  // ("view", (one of the first and the third, steps)).
  void add_returned(const std::string& kind, nb::handle what) {
    Returned r;
    if (kind == "view") {
      add_returned(nb::cast<std::string>(what[0][0]), nb::object(what[0][1]));
      returned_.back().view = nb::cast<ViewSteps>(what[1]);
      return;
    }
    if (kind == "value")
      r.wanted = want(nb::cast<int>(what));
    else if (kind == "live")
      r.live.emplace(nb::borrow(what));
    else if (kind == "tensor")
      r.tensor.emplace(what);
    else
      r.same = nb::borrow(what);
    returned_.push_back(std::move(r));
  }

  int want(int output) {
    wanted_.push_back(output);
    return static_cast<int>(wanted_.size()) - 1;
  }

  static Given find(const Source& s, nb::handle leaves) {
    if (s.read) return given_number(s.input, (*s.read)(leaves));
    Given g{s.input};
    g.tensor = s.tensor->find(leaves);
    return g;
  }

  nb::object owner_;  // of one of these two
  CompiledProgram* program_ = nullptr;
  RegionProgram* region_ = nullptr;
  InputGuards tensors_;
  ReadGuards reads_;
  std::vector<Tensor> inputs_;  // those that stay the same tensor
  std::vector<Source> sources_;
  std::vector<Guard> guards_;
  std::vector<std::pair<TensorSource, bool>> grad_guards_;
  std::vector<std::pair<TensorSource, int>> grads_;
  std::vector<std::pair<int, int>> assigned_;
  std::vector<Returned> returned_;
  std::vector<int> wanted_;
};

template <class T>
int traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  return nb::inst_ready(self) ? nb::inst_ptr<T>(self)->traverse(visit, arg) : 0;
}

template <class T>
int clear(PyObject* self) {
  nb::inst_ptr<T>(self)->clear();
  return 0;
}

template <class T>
PyType_Slot* collected() {
  static PyType_Slot slots[] = {{Py_tp_traverse, reinterpret_cast<void*>(&traverse<T>)},
                                {Py_tp_clear, reinterpret_cast<void*>(&clear<T>)},
                                {0, nullptr}};
  return slots;
}

}  // namespace

void bind_replay(nb::module_& m) {
  m.def("note_module_change", &note_module_change,
        "An attribute of a module was set or deleted: replays look at them again.");
  nb::class_<Path>(m, "Path", nb::type_slots(collected<Path>()),
                   "How to read a value again: from an object by attributes and items.")
      .def(nb::init<nb::object>(), "root"_a)
      .def_static("argument", &Path::argument, "index"_a, "Leaf `index` of a call's arguments.")
      .def("attribute", &Path::attribute, "name"_a)
      .def("item", &Path::item, "key"_a)
      .def("__call__", &Path::read, "leaves"_a = nb::tuple(), "What is there now.");
  nb::class_<Replay>(m, "Replay", nb::type_slots(collected<Replay>()),
                     "A captured region, ready to run again.")
      .def(nb::init<nb::object, nb::handle>(), "program"_a, "region"_a)
      .def("fits", &Replay::fits, "leaves"_a,
           "Whether everything that the capture relied on is as it was.")
      .def("are_apart", &Replay::are_apart, "leaves"_a,
           "Whether no tensor that the region changes shares memory with another one.")
      .def("run", &Replay::run, "leaves"_a, "What the captured function returned, flat.");
}

}  // namespace ostinato::python
