#include "autograd/visit.hpp"

#include "ops.hpp"

namespace ostinato {
namespace {

// Others see the memory of `t`, or it does not lie as a grad should.
bool is_shared(const Tensor& t) {
  return t->use_count() > 1 || !t.contiguous() || t->storage->use_count() > 1;
}

Tensor copy_of(const Tensor& t) {
  Tensor copy = empty(t.sizes(), t.dtype(), t.device());
  copy_into(copy, t);
  return copy;
}

}  // namespace

void check_saved(const Node& node) {
  if (node.released) refuse_released(node);
  for (const Saved& s : node.saved) {
    if (s.value->storage && s.value->storage->version() != s.version) {
      throw Error(ErrorKind::gradient,
                  "backward: a tensor that " + text_of(node) +
                      " saved was changed in place afterwards; change a clone() instead");
    }
  }
}

void release(Node& node) {
  if (node.saved.empty()) return;
  node.saved.clear();
  node.released = true;
}

void add_to_grad(const Tensor& leaf, Tensor cotangent, bool create_graph) {
  Tensor& grad = autograd_state(leaf).grad;
  if (!grad) {
    // A grad is a tensor of its own: it is later added to in place.
    grad = !create_graph && is_shared(cotangent) ? copy_of(cotangent) : std::move(cotangent);
    return;
  }
  Tensor pair[] = {grad, std::move(cotangent)};
  if (create_graph)
    grad = call_op(op_info(op::add), pair);
  else
    call_op_inplace(op_info(op::add), pair, {});
}

}  // namespace ostinato
