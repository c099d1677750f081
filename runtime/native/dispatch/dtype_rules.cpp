#include "dispatch/dtype_rules.hpp"

namespace ostinato::dtype_rule {

DType promote(const OpCall& call, std::initializer_list<int> which) {
  // By rank: numbers, 0-d tensors, tensors with axes. A lower rank counts where its category is
  // higher.
  int found[3] = {-1, -1, -1};
  auto meet = [&](const Tensor& t) {
    if (!t) return;
    int rank = t->wrapped ? 0 : t.ndim() == 0 ? 1 : 2;
    DType d = t->wrapped && is_float(t.dtype()) ? DType::float32_ : t.dtype();
    DType joined = found[rank] < 0 ? d : ostinato::promote(static_cast<DType>(found[rank]), d);
    found[rank] = static_cast<int>(joined);
  };
  if (which.size()) {
    for (int i : which) meet(call.operand(i));
  } else {
    for (const Tensor& t : call.operands) meet(t);
  }
  int best = -1;
  for (int rank : {2, 1, 0}) {
    if (found[rank] < 0) continue;
    if (best < 0 ||
        category(static_cast<DType>(found[rank])) > category(static_cast<DType>(best))) {
      best = found[rank];
    }
  }
  return static_cast<DType>(best);
}

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
