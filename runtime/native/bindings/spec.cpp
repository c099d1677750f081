#include "bindings/spec.hpp"

#include <nanobind/stl/string.h>

namespace nb = nanobind;

namespace ostinato::python {

DType named_dtype(nb::handle name) {
  std::string text = nb::cast<std::string>(name);
  for (int i = 0; i < kDTypeCount; ++i) {
    if (name_of(static_cast<DType>(i)) == text) return static_cast<DType>(i);
  }
  throw Error(ErrorKind::value, "a Program names the unknown dtype " + text);
}

const OpInfo* named_op(nb::handle name) {
  std::string text = nb::cast<std::string>(name);
  if (const OpInfo* op = find_op(text)) return op;
  throw Error(ErrorKind::value, "a Program calls the unknown op " + text);
}

Attr attr_of(nb::handle value, const Param& param) {
  if (nb::isinstance<nb::dict>(value)) return Attr(named_dtype(value["dtype"]));
  if (std::string_view(param.kind) == "float" && nb::isinstance<nb::int_>(value)) {
    return Attr(nb::cast<double>(value));
  }
  return nb::cast<Attr>(value);
}

std::vector<const Param*> attributes_of(const OpInfo& op) {
  std::vector<const Param*> found;
  for (const Param& p : op.params) {
    if (!p.is_operand) found.push_back(&p);
  }
  return found;
}

}  // namespace ostinato::python
