#include "cpu/checks.hpp"

#include <algorithm>
#include <string>

#include "dispatch/shape_rules.hpp"

namespace ostinato {

void check_has_elements(const OpCall& call, const Tensor& result) {
  const Tensor& x = call.operand(0);
  if (x.numel() > 0 || result.numel() == 0) return;
  throw Error(ErrorKind::shape, std::string(call.op->name) + ": shape " + show(x.sizes()) +
                                    " has no elements to choose from; give a tensor that has");
}

void check_source(const OpCall& call, const char* what, const Sizes& sizes, const Sizes& x,
                  const Tensor& index, int64_t dim) {
  const int axis = axis_of(call.op->name, dim, x.ssize(), x);
  Sizes needed(x.begin(), x.begin() + std::min(axis, x.ssize()));
  for (int64_t s : index.sizes()) needed.push_back(s);
  for (int i = axis + 1; i < x.ssize(); ++i) needed.push_back(x[i]);
  if (sizes == needed) return;
  throw Error(ErrorKind::shape, std::string(call.op->name) + ": " + what + " has shape " +
                                    show(sizes) + "; give shape " + show(needed) +
                                    ", as index_select does");
}

uint64_t check_span(int64_t low, int64_t high) {
  const uint64_t span = static_cast<uint64_t>(high) - static_cast<uint64_t>(low);
  if (high > low && span <= uint64_t{1} << 32) return span;
  const std::string numbers =
      high <= low ? "-" + std::to_string(uint64_t{0} - span) : std::to_string(span);
  throw Error(ErrorKind::value, "randint: the range from " + std::to_string(low) + " to " +
                                    std::to_string(high) + " has " + (span == 0 ? "0" : numbers) +
                                    " numbers; give from 1 to 2^32, low below high");
}

void fail_index(const char* op, int64_t index, int64_t size) {
  const std::string cause =
      std::string(op) + ": index " + std::to_string(index) + " is out of range for ";
  throw Error(ErrorKind::index, size == 0 ? cause + "an axis without elements; give an empty index"
                                          : cause + std::to_string(size) +
                                                " rows; give indices from 0 to " +
                                                std::to_string(size - 1));
}

void fail_target(int64_t target, int64_t classes) {
  throw Error(ErrorKind::index, "cross_entropy: target " + std::to_string(target) +
                                    " is out of range for " + std::to_string(classes) +
                                    " classes; give classes from 0 to " +
                                    std::to_string(classes - 1) + ", or ignore_index");
}

void fail_weights() {
  throw Error(ErrorKind::value,
              "multinomial: a row has negative weights or too few positive ones; give weights "
              "from 0, as many positive ones as samples (one with replacement)");
}

}  // namespace ostinato
