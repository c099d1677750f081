// The profiler of Programs as Python sees it.
#include "program/profiler.hpp"

#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "bindings/python.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace ostinato::python {
namespace {

nb::list programs_of(const Profiler& p) {
  nb::list out;
  for (const auto& [number, steps] : p.programs()) {
    nb::list told;
    for (const ProfiledStep& s : steps)
      told.append(nb::make_tuple(s.name, s.location, s.phase, s.kernel));
    out.append(nb::make_tuple(number, told));
  }
  return out;
}

nb::list runs_of(const Profiler& p) {
  nb::list out;
  for (const ProfiledRun& r : p.runs())
    out.append(nb::make_tuple(r.program, r.thread, r.started, r.taken, nb::cast(r.seconds)));
  return out;
}

}  // namespace

void bind_profiler(nb::module_& m) {
  nb::class_<Profiler>(m, "Profiler", "Takes what each step of the Programs of all threads takes.")
      .def(nb::new_([](int every) { return std::make_shared<Profiler>(every); }), "every"_a)
      .def("start", &Profiler::start)
      .def("stop", &Profiler::stop)
      .def("programs", &programs_of,
           "Those that ran: its number, and (name, source line, phase, is a kernel) of its steps.")
      .def("runs", &runs_of,
           "(Program, thread, start, seconds of the host, seconds of each step) of each run.");
}

}  // namespace ostinato::python
