#include "dispatch/shape_rules.hpp"

#include "dispatch/shape_checks.hpp"

namespace ostinato {
namespace {

void require_axes(const OpCall& call, const Sizes& shape, size_t least) {
  if (shape.size() >= least) return;
  fail(call, "shape " + show(shape) + " has too few axes; give a tensor with at least " +
                 std::to_string(least));
}

}  // namespace

Sizes broadcast(const char* op, std::span<const Sizes> shapes) {
  size_t ndim = 0;
  for (const Sizes& s : shapes) ndim = std::max(ndim, s.size());
  Sizes out(ndim, 1);
  for (const Sizes& s : shapes) {
    size_t lead = ndim - s.size();
    for (size_t i = 0; i < s.size(); ++i) {
      int64_t& o = out[lead + i];
      if (o == 1) {
        o = s[i];
      } else if (s[i] != 1 && s[i] != o) {
        std::string given;
        for (const Sizes& t : shapes) given += (given.empty() ? "" : " and ") + show(t);
        throw Error(ErrorKind::shape, std::string(op) + ": shapes " + given +
                                          " do not broadcast; sizes must be equal or 1, counted "
                                          "from the last");
      }
    }
  }
  return out;
}

int axis_of(const char* op, int64_t dim, int ndim, std::span<const int64_t> shape) {
  int64_t n = std::max(ndim, 1);
  if (dim < -n || dim >= n) {
    throw Error(ErrorKind::shape, std::string(op) + ": dim " + std::to_string(dim) +
                                      " is out of range for shape " + show(shape) +
                                      "; give a dim from " + std::to_string(-n) + " to " +
                                      std::to_string(n - 1));
  }
  return static_cast<int>(dim < 0 ? dim + n : dim);
}

void check_reach(const char* op, const Sizes& sizes, const Sizes& strides, int64_t offset,
                 int64_t room) {
  int64_t first = offset, last = offset;
  bool fits = true;
  for (int i = 0; i < sizes.ssize(); ++i) {
    int64_t reach = 0, &end = strides[i] < 0 ? first : last;
    fits &= !__builtin_mul_overflow(strides[i], sizes[i] - 1, &reach);
    fits &= !__builtin_add_overflow(end, reach, &end);
  }
  if (product(sizes) == 0 || (fits && first >= 0 && last < room)) return;
  throw Error(ErrorKind::index, std::string(op) + ": elements " + std::to_string(first) + " to " +
                                    std::to_string(last) + " of memory that has " +
                                    std::to_string(room) +
                                    "; give a size, stride and offset that stay inside");
}

Sizes reduced_axes(const char* op, const Attr& dim, const Sizes& shape) {
  Sizes marks(shape.size(), dim.is_none() ? 1 : 0);
  if (dim.is_none()) return marks;
  Sizes dims = dim.is_int() ? Sizes{dim.as_int()} : dim.as_sizes();
  bool twice = false;
  for (int64_t d : dims) {
    int axis = axis_of(op, d, shape.ssize(), shape);
    if (shape.empty()) continue;
    twice |= marks[axis] != 0;
    marks[axis] = 1;
  }
  if (twice || (shape.empty() && dims.size() > 1)) {
    throw Error(ErrorKind::shape, std::string(op) + ": dim " + show(dims) +
                                      " names an axis twice; give each axis once");
  }
  return marks;
}

std::pair<int64_t, int64_t> slice_bounds(int64_t size, int64_t start, int64_t stop) {
  start = std::min(std::max<int64_t>(start < 0 ? start + size : start, 0), size);
  stop = std::min(std::max(stop < 0 ? stop + size : stop, start), size);
  return {start, stop};
}

namespace shape_rule {

Sizes broadcast(const OpCall& call, std::initializer_list<int> which) {
  const auto& ops = call.operands;
  if (which.size() == 0 && ops.size() == 2) {  // the common case, without copies
    if (!ops[1] || ops[1].ndim() == 0) return ops[0].sizes();
    if (ops[0].sizes() == ops[1].sizes()) return ops[0].sizes();
  } else if (which.size() == 0 && ops.size() == 1) {
    return ops[0].sizes();
  }
  std::vector<Sizes> shapes;
  if (which.size() == 0) {
    for (const Tensor& t : ops) {
      if (t) shapes.push_back(t.sizes());
    }
  }
  for (int i : which) {
    if (ops[i]) shapes.push_back(ops[i].sizes());
  }
  return ostinato::broadcast(call.op->name, shapes);
}

Sizes given(const OpCall& call, int attr) {
  const Sizes& sizes = call.attr(attr).as_sizes();
  for (int64_t s : sizes) {
    if (s < 0) fail(call, "size " + show(sizes) + " is negative; give sizes from 0");
  }
  return sizes;
}

Sizes counted(const OpCall& call, int attr, bool square) {
  int64_t n = call.attr(attr).as_int();
  if (n < 0) fail(call, "size " + std::to_string(n) + " is negative; give a size from 0");
  return square ? Sizes{n, n} : Sizes{n};
}

Sizes reduced(const OpCall& call, int index, int dim, int keepdim) {
  const Sizes& shape = call.operand(index).sizes();
  Sizes marks = reduced_axes(call.op->name, call.attr(dim), shape);
  bool keep = call.attr(keepdim).as_bool();
  Sizes out;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (!marks[i])
      out.push_back(shape[i]);
    else if (keep)
      out.push_back(1);
  }
  return out;
}

Sizes permuted(const OpCall& call, int dims_attr) {
  const Sizes& shape = call.operand(0).sizes();
  const Sizes& dims = call.attr(dims_attr).as_sizes();
  Sizes out, seen(std::max<size_t>(shape.size(), 1), 0);
  bool ok = dims.size() == shape.size();
  for (int64_t d : dims) {
    int axis = axis_of(call.op->name, d, shape.ssize(), shape);
    if (!ok || seen[axis]++) {
      ok = false;
      continue;
    }
    out.push_back(shape[axis]);
  }
  if (!ok) {
    fail(call, "dims " + show(dims) + " do not order the axes of shape " + show(shape) +
                   "; name each axis once");
  }
  return out;
}

Sizes transposed(const OpCall& call, int dim0, int dim1) {
  Sizes shape = call.operand(0).sizes();
  int a = axis_of(call.op->name, call.attr(dim0).as_int(), shape.ssize(), shape);
  int b = axis_of(call.op->name, call.attr(dim1).as_int(), shape.ssize(), shape);
  if (!shape.empty()) std::swap(shape[a], shape[b]);
  return shape;
}

Sizes reshaped(const OpCall& call, int shape_attr) {
  const Sizes& old = call.operand(0).sizes();
  Sizes shape = call.attr(shape_attr).as_sizes();
  int64_t total = product(old), known = 1;
  int unknown = 0;
  bool bad = false;
  for (int64_t s : shape) {
    if (s == -1)
      ++unknown;
    else
      known *= s;
    bad |= s < -1;
  }
  bad |= unknown > 1;
  if (unknown == 1 && !bad && known) {
    for (int64_t& s : shape) s = s == -1 ? total / known : s;
    unknown = 0;
  }
  if (bad || unknown || product(shape) != total) {
    fail(call, "shape " + show(old) + " has " + std::to_string(total) +
                   " elements, which do not fit " + show(call.attr(shape_attr).as_sizes()) +
                   "; give sizes with the same product (one may be -1)");
  }
  return shape;
}

Sizes expanded(const OpCall& call, int size_attr) {
  const Sizes& old = call.operand(0).sizes();
  const Sizes& size = call.attr(size_attr).as_sizes();
  int pad = size.ssize() - old.ssize();
  bool ok = pad >= 0;
  Sizes out = size;
  for (int i = 0; ok && i < size.ssize(); ++i) {
    if (i >= pad && out[i] == -1) out[i] = old[i - pad];
    ok &= out[i] != -1 && (i < pad || old[i - pad] == 1 || old[i - pad] == out[i]);
  }
  if (!ok) {
    fail(call, "shape " + show(old) + " does not expand to " + show(size) +
                   "; only axes of size 1 and new axes in front can grow");
  }
  return out;
}

Sizes squeezed(const OpCall& call, int dim) {
  const Sizes& shape = call.operand(0).sizes();
  Sizes marks = reduced_axes(call.op->name, call.attr(dim), shape), out;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (!marks[i] || shape[i] != 1) out.push_back(shape[i]);
  }
  return out;
}

Sizes unsqueezed(const OpCall& call, int dim) {
  Sizes shape = call.operand(0).sizes();
  int at = axis_of(call.op->name, call.attr(dim).as_int(), shape.ssize() + 1, shape);
  shape.insert(at, 1);
  return shape;
}

Sizes catted(const OpCall& call, int dim) {
  if (call.operands.empty()) fail(call, "the list of tensors is empty; give at least one");
  Sizes first = call.operand(0).sizes();
  int at = axis_of(call.op->name, call.attr(dim).as_int(), first.ssize(), first);
  int64_t total = first.empty() ? 0 : first[at];
  for (const Tensor& t : call.operands.subspan(1)) {
    const Sizes& s = t.sizes();
    bool same = s.size() == first.size();
    for (int i = 0; same && i < s.ssize(); ++i) same = s[i] == first[i] || i == at;
    if (!same) {
      fail(call, "shapes " + show(call.operand(0).sizes()) + " and " + show(s) +
                     " differ outside dim " + std::to_string(at) +
                     "; give tensors that agree in every other size");
    }
    total += s.empty() ? 0 : s[at];
  }
  if (!first.empty()) first[at] = total;
  return first;
}

Sizes sliced(const OpCall& call, int dim, int start_attr, int stop_attr, int step_attr) {
  Sizes shape = call.operand(0).sizes();
  int64_t step = call.attr(step_attr).as_int();
  int at = axis_of(call.op->name, call.attr(dim).as_int(), shape.ssize(), shape);
  if (step < 1) {
    fail(call, "step " + std::to_string(step) + " is not positive; give a step from 1, then flip");
  }
  if (shape.empty()) fail(call, "shape () has no axis to slice; give a tensor with axes");
  auto [start, stop] =
      slice_bounds(shape[at], call.attr(start_attr).as_int(), call.attr(stop_attr).as_int());
  shape[at] = (stop - start + step - 1) / step;
  return shape;
}

Sizes padded(const OpCall& call, int pad_attr) {
  Sizes shape = call.operand(0).sizes();
  const Sizes& pad = call.attr(pad_attr).as_sizes();
  if (pad.size() % 2 || pad.size() > 2 * shape.size()) {
    fail(call, "pad " + show(pad) + " does not fit shape " + show(shape) +
                   "; give (before, after) pairs for the last axes");
  }
  for (size_t i = 0; i < pad.size() / 2; ++i) {
    int64_t& s = shape[shape.size() - 1 - i];
    s += pad[2 * i] + pad[2 * i + 1];
  }
  for (int64_t s : shape) {
    if (s < 0) fail(call, "pad " + show(pad) + " cuts more than there is; pad less");
  }
  return shape;
}

Sizes same(const OpCall& call, int index, size_t least, int dim) {
  const Sizes& shape = call.operand(index).sizes();
  require_axes(call, shape, least);
  if (dim >= 0) reduced_axes(call.op->name, call.attr(dim), shape);
  return shape;
}

Sizes appended(const OpCall& call, int attr, size_t drop) {
  const Sizes& shape = call.operand(0).sizes();
  int64_t size = call.attr(attr).as_int();
  require_axes(call, shape, drop);
  if (size < 0) fail(call, "size " + std::to_string(size) + " is negative; give a size from 0");
  Sizes out = head(shape, drop);
  out.push_back(size);
  return out;
}

Sizes leading(const OpCall& call, int index, int drop) {
  return head(call.operand(index).sizes(), drop);
}

Sizes stacked(const OpCall& call, int index, int64_t count) {
  Sizes out{count};
  for (int64_t size : call.operand(index).sizes()) out.push_back(size);
  return out;
}

void fits(const OpCall& call, int index, const char* what, const Sizes& needed) {
  const Sizes& came = call.operand(index).sizes();
  if (came == needed) return;
  fail(call, std::string(what) + " has shape " + show(came) + "; give " + show(needed));
}

}  // namespace shape_rule
}  // namespace ostinato
