#include "program/sum_selected.hpp"

#include <map>
#include <vector>

#include "dispatch/op_table.hpp"
#include "ops.hpp"

namespace ostinato {
namespace {

Tensor selected(const Tensor& of, int64_t dim, int64_t index) {
  const Attr attrs[] = {Attr(dim), Attr(index)};
  return run_op(op_info(op::select), {&of, 1}, attrs);
}

// target = a + b, where `b` may be a number.
void add_into(const Tensor& target, const Tensor& a, const Tensor& b) {
  const Tensor operands[] = {a, b};
  Tensor result = target;
  run_pointwise_op({&op_info(op::add), operands, {}}, {&result, 1});
}

}  // namespace

Tensor sum_selected(std::span<const Tensor> parts, int64_t dim, const Sizes& sizes,
                    const Sizes& indices) {
  const int64_t n = sizes[dim < 0 ? dim + sizes.ssize() : dim];
  std::map<int64_t, std::vector<Tensor>> at;
  for (size_t i = 0; i < parts.size(); ++i) {
    at[indices[i] < 0 ? indices[i] + n : indices[i]].push_back(parts[i]);
  }
  const Tensor made = empty(sizes, parts[0].dtype(), parts[0].device());
  if (static_cast<int64_t>(at.size()) < n) copy_into(made, number(false));
  for (const auto& [index, found] : at) {
    const Tensor place = selected(made, dim, index);
    // Where a part of other tensors lies elsewhere, their zeros are added: -0.0 becomes 0.0.
    if (found.size() < parts.size()) {
      add_into(place, found[0], number(0.0));
    } else {
      copy_into(place, found[0]);
    }
    for (size_t i = 1; i < found.size(); ++i) add_into(place, place, found[i]);
  }
  return made;
}

}  // namespace ostinato
