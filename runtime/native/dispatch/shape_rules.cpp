#include "dispatch/shape_rules.hpp"

namespace ostinato {
namespace {

[[noreturn]] void fail(const OpCall& call, const std::string& text) {
  throw Error(ErrorKind::shape, std::string(call.op->name) + ": " + text);
}

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

Sizes head(const Sizes& s, size_t drop) {
  return {s.begin(), s.begin() + (s.size() > drop ? s.size() - drop : 0)};
}

void require_axes(const OpCall& call, const Sizes& shape, size_t least) {
  if (shape.size() >= least) return;
  fail(call, "shape " + show(shape) + " has too few axes; give a tensor with at least " +
                 std::to_string(least));
}

void check_index(const OpCall& call, const char* what, const Sizes& shape, const Sizes& index,
                 int free_axis) {
  bool ok = index.size() == shape.size();
  for (int i = 0; ok && i < shape.ssize(); ++i) ok = i == free_axis || index[i] <= shape[i];
  if (ok) return;
  fail(call, "index " + show(index) + " does not fit " + what + " " + show(shape) +
                 "; give an index of the same rank, no longer along any other axis");
}

}  // namespace

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

Sizes mat_mul(const OpCall& call) {
  const Sizes &a = call.operand(0).sizes(), &b = call.operand(1).sizes();
  bool ok = !a.empty() && !b.empty() && a.back() == b[b.size() > 1 ? b.size() - 2 : 0];
  if (!ok) {
    fail(call, "shapes " + show(a) + " and " + show(b) +
                   " do not multiply; the last size of the first must equal the second to last "
                   "(or only) size of the second");
  }
  Sizes out;
  if (a.size() > 2 || b.size() > 2) {
    Sizes batches[] = {head(a, 2), head(b, 2)};
    out = ostinato::broadcast(call.op->name, batches);
  }
  if (a.size() > 1) out.push_back(a[a.size() - 2]);
  if (b.size() > 1) out.push_back(b.back());
  return out;
}

Sizes linear(const OpCall& call) {
  const Sizes &x = call.operand(0).sizes(), &w = call.operand(1).sizes();
  if (x.empty() || w.size() != 2 || x.back() != w[1]) {
    fail(call, "input " + show(x) + " does not fit weight " + show(w) +
                   "; the last size of the input must equal the last size of the (out, in) "
                   "weight");
  }
  if (const Tensor& bias = call.operand(2); bias && bias.sizes() != Sizes{w[0]}) {
    fail(call, "bias " + show(bias.sizes()) + " does not fit weight " + show(w) + "; give shape " +
                   show(Sizes{w[0]}));
  }
  Sizes out = x;
  out.back() = w[0];
  return out;
}

Sizes index_selected(const OpCall& call, int64_t dim) {
  const Sizes &shape = call.operand(0).sizes(), &index = call.operand(1).sizes();
  int at = axis_of(call.op->name, dim, shape.ssize(), shape);
  Sizes out(shape.begin(), shape.begin() + std::min(at, shape.ssize()));
  for (int64_t s : index) out.push_back(s);
  for (int i = at + 1; i < shape.ssize(); ++i) out.push_back(shape[i]);
  return out;
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

static void check_mask(const OpCall& call, const Sizes& mask, const Sizes& scores) {
  bool ok = mask.size() <= scores.size();
  for (size_t i = 1; ok && i <= mask.size(); ++i) {
    int64_t size = mask[mask.size() - i];
    ok = size == 1 || size == scores[scores.size() - i];
  }
  if (!ok) {
    fail(call, "attn_mask " + show(mask) + " does not broadcast to " + show(scores) +
                   "; give sizes equal or 1, counted from the last");
  }
}

Sizes product_batch(const OpCall& call, int first, int mask) {
  const Sizes &q = call.operand(first).sizes(), &k = call.operand(first + 1).sizes(),
              &v = call.operand(first + 2).sizes();
  bool ok = std::min({q.size(), k.size(), v.size()}) >= 2 && q.back() == k.back() &&
            head(q, 2) == head(k, 2) && head(k, 1) == head(v, 1);
  if (!ok) {
    fail(call, "query " + show(q) + ", key " + show(k) + " and value " + show(v) +
                   " do not fit; give (..., L, E), (..., S, E) and (..., S, Ev)");
  }
  Sizes out = head(q, 1);
  if (call.operand(mask)) {
    Sizes scores = out;
    scores.push_back(k[k.size() - 2]);
    check_mask(call, call.operand(mask).sizes(), scores);
  }
  out.push_back(v.back());
  return out;
}

Sizes normalized(const OpCall& call, int index, int normalized_shape,
                 std::initializer_list<int> which) {
  const Sizes& shape = call.operand(index).sizes();
  const Sizes& inner = call.attr(normalized_shape).as_sizes();
  auto check = [&](const Sizes& s) {
    if (s == inner) return;
    fail(call, "shape " + show(s) + " is not the normalized shape " + show(inner) +
                   "; give the last sizes of the input, and weight and bias of that shape");
  };
  size_t skip = shape.size() > inner.size() ? shape.size() - inner.size() : 0;
  check(Sizes(shape.begin() + skip, shape.end()));
  for (int i : which) {
    if (call.operand(i)) check(call.operand(i).sizes());
  }
  return shape;
}

static bool is_reduced(const OpCall& call, int attr) {
  const std::string& reduction = call.attr(attr).as_string();
  if (reduction == "mean" || reduction == "sum") return true;
  if (reduction == "none") return false;
  throw Error(ErrorKind::value, std::string(call.op->name) + ": '" + reduction +
                                    "' is not known for reduction; give 'none', 'mean' or 'sum'");
}

Sizes loss(const OpCall& call, int reduction) {
  Sizes each = broadcast(call, {0, 1});
  return is_reduced(call, reduction) ? Sizes{} : each;
}

Sizes class_loss(const OpCall& call, int first, int reduction) {
  const Sizes& shape = call.operand(first).sizes();
  const Sizes& target = call.operand(first + 1).sizes();
  Sizes rest;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i != (shape.size() > 1 ? 1 : 0)) rest.push_back(shape[i]);
  }
  if (shape.empty() || rest != target) {
    fail(call, "input " + show(shape) + " does not fit target " + show(target) +
                   "; give (N, C, ...) and (N, ...), or (C,) and ()");
  }
  return is_reduced(call, reduction) ? Sizes{} : target;
}

void fits(const OpCall& call, int index, const char* what, const Sizes& needed) {
  const Sizes& came = call.operand(index).sizes();
  if (came == needed) return;
  fail(call, std::string(what) + " has shape " + show(came) + "; give " + show(needed));
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
