// Values of serialised Programs: JSON, in which a dtype is {"dtype": its name}.
#pragma once
#include <nanobind/nanobind.h>

#include <string>
#include <vector>

#include "bindings/casters.hpp"

namespace ostinato::python {

// Throw Error (value) for names that this module does not know.
DType named_dtype(nanobind::handle name);
const OpInfo* named_op(nanobind::handle name);
Attr attr_of(nanobind::handle value, const Param& param);
// The attributes of an op, in order.
std::vector<const Param*> attributes_of(const OpInfo& op);

}  // namespace ostinato::python
