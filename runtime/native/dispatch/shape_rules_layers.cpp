// Shape rules of products, attention, norms and losses.
#include "dispatch/shape_checks.hpp"
#include "dispatch/shape_rules.hpp"

namespace ostinato {
namespace {

void check_mask(const OpCall& call, const Sizes& mask, const Sizes& scores) {
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

bool is_reduced(const OpCall& call, int attr) {
  const std::string& reduction = call.attr(attr).as_string();
  if (reduction == "mean" || reduction == "sum") return true;
  if (reduction == "none") return false;
  throw Error(ErrorKind::value, std::string(call.op->name) + ": '" + reduction +
                                    "' is not known for reduction; give 'none', 'mean' or 'sum'");
}

}  // namespace

namespace shape_rule {

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

}  // namespace shape_rule
}  // namespace ostinato
