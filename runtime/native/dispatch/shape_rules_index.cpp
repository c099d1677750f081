// Shape rules of ops that pick elements by index.
#include "dispatch/shape_checks.hpp"
#include "dispatch/shape_rules.hpp"

namespace ostinato {
namespace {

void check_index(const OpCall& call, const char* what, const Sizes& shape, const Sizes& index,
                 int free_axis) {
  bool ok = index.size() == shape.size();
  for (int i = 0; ok && i < shape.ssize(); ++i) ok = i == free_axis || index[i] <= shape[i];
  if (ok) return;
  fail(call, "index " + show(index) + " does not fit " + what + " " + show(shape) +
                 "; give an index of the same rank, no longer along any other axis");
}

}  // namespace

namespace shape_rule {

Sizes index_selected(const OpCall& call, int64_t dim) {
  const Sizes &shape = call.operand(0).sizes(), &index = call.operand(1).sizes();
  int at = axis_of(call.op->name, dim, shape.ssize(), shape);
  Sizes out(shape.begin(), shape.begin() + std::min(at, shape.ssize()));
  for (int64_t s : index) out.push_back(s);
  for (int i = at + 1; i < shape.ssize(); ++i) out.push_back(shape[i]);
  return out;
}

Sizes selected(const OpCall& call, int dim, int index_attr) {
  const Sizes& shape = call.operand(0).sizes();
  int64_t index = call.attr(index_attr).as_int();
  if (shape.empty()) fail(call, "shape () has no axis to index; give a tensor with axes");
  int at = axis_of(call.op->name, call.attr(dim).as_int(), shape.ssize(), shape);
  if (index < -shape[at] || index >= shape[at]) {
    fail(call, "index " + std::to_string(index) + " is out of range for dim " + std::to_string(at) +
                   " of shape " + show(shape) + "; give an index from " +
                   std::to_string(-shape[at]) + " to " + std::to_string(shape[at] - 1));
  }
  Sizes out;
  for (int i = 0; i < shape.ssize(); ++i) {
    if (i != at) out.push_back(shape[i]);
  }
  return out;
}

Sizes taken(const OpCall& call, const char* what, int count_attr, int dim) {
  Sizes shape = call.operand(0).sizes();
  const int64_t count = call.attr(count_attr).as_int();
  if (shape.empty()) fail(call, "shape () has no axis to index; give a tensor with axes");
  const int at = axis_of(call.op->name, call.attr(dim).as_int(), shape.ssize(), shape);
  if (count < 0 || count > shape[at]) {
    fail(call, std::string(what) + " " + std::to_string(count) + " is out of range for dim " +
                   std::to_string(at) + " of shape " + show(shape) + "; give one from 0 to " +
                   std::to_string(shape[at]));
  }
  shape[at] = count;
  return shape;
}

Sizes gathered(const OpCall& call, int dim) {
  const Sizes &shape = call.operand(0).sizes(), &index = call.operand(1).sizes();
  int at = axis_of(call.op->name, call.attr(dim).as_int(), shape.ssize(), shape);
  check_index(call, "input", shape, index, at);
  return index;
}

Sizes scattered(const OpCall& call, int dim) {
  const Sizes &shape = call.operand(0).sizes(), &index = call.operand(1).sizes();
  int at = axis_of(call.op->name, call.attr(dim).as_int(), shape.ssize(), shape);
  check_index(call, "input", shape, index, at);
  check_index(call, "src", call.operand(2).sizes(), index, -1);
  return shape;
}

}  // namespace shape_rule
}  // namespace ostinato
