// View ops that lead from a tensor to a view of it, as an object of Python.
#pragma once
#include <vector>

#include "bindings/casters.hpp"
#include "trace/tracer.hpp"

namespace ostinato::python {

struct ViewSteps : std::vector<ViewStep> {};

}  // namespace ostinato::python
