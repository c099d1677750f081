// The C++ forms of the dtype rules of ir/dtypes.py; ops.cpp (generated) calls them.
#pragma once
#include <initializer_list>
#include <string_view>

#include "dispatch/op_call.hpp"

namespace ostinato::dtype_rule {

// PyTorch's promotion over tensors with axes, then 0-d tensors, then numbers.
DType promote(const OpCall& call, std::initializer_list<int> which);
inline DType promote_float(const OpCall& call, std::initializer_list<int> which) {
  DType d = promote(call, which);
  return is_float(d) ? d : DType::float32_;
}
inline DType same(const OpCall& call, int index) { return call.operand(index).dtype(); }
inline DType summed(const OpCall& call, int index) {
  DType d = call.operand(index).dtype();
  return is_float(d) ? d : DType::int64_;
}
template <class F>
DType from_attr(const OpCall& call, int index, F otherwise) {
  return call.attr(index).is_none() ? otherwise() : call.attr(index).as_dtype();
}

inline DType widened(const OpCall& call, int index) {
  DType d = call.operand(index).dtype();
  return d == DType::float16_ || d == DType::bfloat16_ ? DType::float32_ : d;
}
// The one dtype of the operands that are given.
DType agreed(const OpCall& call, std::initializer_list<int> which);
// `result`, where `checked` is of a category of `kinds` (letters of "bif"); else an error that
// says that `what` has that dtype and what is `needed`.
DType only(const OpCall& call, DType result, DType checked, std::string_view kinds,
           const char* what, const char* needed);

}  // namespace ostinato::dtype_rule
