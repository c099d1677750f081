#include "dispatch/dtype_rules.hpp"

namespace ostinato::dtype_rule {

DType agreed(const OpCall& call, std::initializer_list<int> which) {
  DType first = call.operand(*which.begin()).dtype();
  for (int i : which) {
    if (!call.operand(i) || call.operand(i).dtype() == first) continue;
    throw Error(ErrorKind::dtype, std::string(call.op->name) + ": dtypes " +
                                      std::string(name_of(first)) + " and " +
                                      std::string(name_of(call.operand(i).dtype())) +
                                      " differ; convert one of the operands with `.to(dtype)`");
  }
  return first;
}

DType only(const OpCall& call, DType result, DType checked, std::string_view kinds,
           const char* what, const char* needed) {
  if (kinds.find("bif"[category(checked)]) == std::string_view::npos) {
    throw Error(ErrorKind::dtype, std::string(call.op->name) + ": " + what + " has dtype " +
                                      std::string(name_of(checked)) + "; give " + needed);
  }
  return result;
}

}  // namespace ostinato::dtype_rule
