// A contiguous tensor as (outer, n, inner) around one axis.
#pragma once
#include "dispatch/op_call.hpp"
#include "dispatch/shape_rules.hpp"

namespace ostinato {

struct Around {
  int64_t outer = 1, n = 1, inner = 1;

  // Around axis `dim`, an attribute of `call`; all ones where there are no axes.
  Around(const OpCall& call, int64_t dim, const Sizes& sizes) {
    if (sizes.empty()) return;
    const int axis = axis_of(call.op->name, dim, sizes.ssize(), sizes);
    for (int i = 0; i < sizes.ssize(); ++i) (i < axis ? outer : i == axis ? n : inner) *= sizes[i];
  }
};

}  // namespace ostinato
