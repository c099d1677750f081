// Views on the tape: a change of a tensor in place reaches all that show its memory.
//
// A view knows its base, the tensor, itself no view, that it shows. A change of a view gives the
// base a new place on the tape: its old value with the view's elements replaced. Other views find
// theirs when they are next used, from the version of the storage.
#pragma once
#include "autograd/tape.hpp"

namespace ostinato {

// `view` is the result of a view op on `source`.
void note_view(const Tensor& view, const Tensor& source);

// Whether `t` was changed by way of its base or another view, and that has a gradient.
inline bool follows_base(const Tensor& t) {
  return t->base && t->seen != t->storage->version() && t->base->requires_grad &&
         t->base->storage.get() == t->storage.get();
}
// Gives a view that follows its base the place on the tape that it has now. GradientError for one
// that was made under no_grad.
void refresh(const Tensor& view);
[[noreturn]] void refuse_unrecorded_view();

// Throws where operand 0 of a call must not be changed in place while gradients are recorded.
void check_recorded_change(const char* op, const Tensor& self);
// Runs `call` on the old value of operand 0, which then takes the value of the result, and puts
// the change on the tape.
void change_recorded(const OpCall& call);

}  // namespace ostinato
