// Replays of captured regions and what they are found by, as Python sees them.
#include <nanobind/stl/vector.h>

#include "bindings/call_table.hpp"
#include "bindings/followed_run.hpp"
#include "bindings/replay.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace ostinato::python {
namespace {

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

void bind_followed(nb::module_& m) {
  nb::class_<BreakTally>(m, "BreakTally",
                         "How often a function came to a break, and what led there.")
      .def(nb::init<>())
      .def_ro("count", &BreakTally::count)
      .def_ro("seconds", &BreakTally::seconds);
  nb::class_<FollowedRegions>(m, "FollowedRegions", nb::type_slots(collected<FollowedRegions>()),
                              "Regions of a followed function by what was recorded.")
      .def(nb::init<>())
      .def("add", &FollowedRegions::add, "key"_a, "replay"_a,
           "Regions of this key are run by `replay`.")
      .def(
          "run",
          [](FollowedRegions& regions, Tracer& tracer) -> nb::object {
            FollowedRegions::Key key;
            const auto cut = regions.run(tracer, key);
            return cut ? nb::object(tuple_of(*cut)) : nb::none();
          },
          "tracer"_a,
          "Ends what was recorded and runs it; what user code holds gets its value. Where none of "
          "the regions can, that is left to do: (held, given, key), as `Tracer.cut` gives it.");
  nb::class_<FollowedRun>(m, "FollowedRun", nb::type_slots(collected<FollowedRun>()),
                          "A run of a followed function, a region after the other.")
      .def(nb::init<nb::object, nb::object, nb::object, nb::object>(), "regions"_a, "place_of"_a,
           "run_new"_a, "before_end"_a.none(),
           "`place_of(why)` gives the tally of a new break, `run_new(held, given, key)` runs what "
           "none of the regions can, and `before_end`, where there is one, sees every region end.")
      .def("begin", &FollowedRun::begin, "What comes now is recorded.")
      .def("end", &FollowedRun::end, "Runs what was recorded.")
      .def("let_go", &FollowedRun::let_go, "Forgets what was recorded.")
      .def_prop_ro("tracer", &FollowedRun::tracer);
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
      .def(nb::init<nb::object, nb::handle>(), "program"_a.none(), "region"_a,
           "Without a Program it does all but `launch` and `run`.")
      .def("fits", &Replay::fits, "leaves"_a,
           "Whether everything that the capture relied on is as it was.")
      .def("are_apart", &Replay::are_apart, "leaves"_a,
           "Whether no tensor that the region changes shares memory with another one.")
      .def("run", &Replay::run, "leaves"_a, "What the captured function returned, flat.")
      .def("inputs", &Replay::inputs, "leaves"_a, "The inputs now, numbers as tensors.")
      .def("check_indices", &Replay::check_indices, "leaves"_a,
           "IndexError where one among the inputs is out of range, as the eager op has it.")
      .def("launch", &Replay::launch, "leaves"_a,
           "The first half of `run`: the Program makes the results numbered `wanted`.")
      .def("hand_out", &Replay::hand_out, "leaves"_a, "made"_a,
           "The second half: sets grads, changes what has a gradient, and returns.")
      .def_prop_ro("wanted", &Replay::wanted, "The results of the region that `launch` makes.")
      .def_prop_ro("runs", &Replay::runs, "How often it ran.");
  bind_followed(m);
  nb::class_<CallTable>(m, "CallTable", nb::type_slots(collected<CallTable>()),
                        "What calls do by their arguments.")
      .def(nb::init<>())
      .def("add", &CallTable::add, "replay"_a, "arguments"_a, "keywords"_a, "leaves"_a,
           "result"_a.none(),
           "Calls with such arguments, whose leaves these are, are replays; `result` makes of a "
           "flat list what is returned, None where that is its one element.")
      .def("add_call", &CallTable::add_call, "run"_a, "arguments"_a, "keywords"_a, "leaves"_a,
           "Calls with such arguments are `run(arguments, keywords)`.")
      .def("remove", &CallTable::remove, "replay"_a)
      .def("call", &CallTable::call, "arguments"_a, "keywords"_a,
           "What a call with these arguments returns; NotImplemented where that is not known.");
}

}  // namespace ostinato::python
