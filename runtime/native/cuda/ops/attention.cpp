// Scaled dot-product attention and its gradient. Heads wider than the kernels take, and float64,
// run as the ops of the body.
#include "cuda/kernels/attention.hpp"

#include <algorithm>
#include <numeric>
#include <vector>

#include "cpu/copy.hpp"
#include "cuda/axes.hpp"
#include "cuda/blas.hpp"
#include "cuda/ops/arguments.hpp"
#include "dispatch/body.hpp"

namespace ostinato::cuda {
namespace {

// By what scores are made from: TF32 of heads up to 32 and up to 64 wide, float32, and bfloat16 of
// heads wider than 32.
enum Kind : uint8_t { kTf32Narrow, kTf32, kFloat32, kBFloat16 };
KernelName forwards[] = {{"attention_forward", "attention_tf32_32"},
                         {"attention_forward", "attention_tf32_64"},
                         {"attention_forward", "attention_float32_64"},
                         {"attention_forward", "attention_bfloat16_64"}};
KernelName query_gradients[] = {{"attention_backward", "attention_query_tf32_32"},
                                {"attention_backward", "attention_query_tf32_64"},
                                {"attention_backward", "attention_query_float32_64"},
                                {"attention_backward", "attention_query_bfloat16_64"}};
KernelName key_gradients[] = {{"attention_backward", "attention_key_tf32_32"},
                              {"attention_backward", "attention_key_tf32_64"},
                              {"attention_backward", "attention_key_float32_64"},
                              {"attention_backward", "attention_key_bfloat16_64"}};

// Where head i of `heads` lies in `t`, whose leading axes broadcast to those; false where that
// takes too many axes.
bool fill_heads(Axes& axes, const Tensor& t, const Sizes& heads) {
  const int64_t item = static_cast<int64_t>(size_of(t.dtype()));
  const int missing = heads.ssize() + 2 - t.ndim();
  axes.count = 0;
  for (int i = heads.ssize() - 1; i >= 0; --i) {
    const bool repeats = i < missing || t.size(i - missing) == 1;
    if (!add_axis(axes, heads[i], repeats ? 0 : t.strides()[i - missing] * item)) return false;
  }
  return true;
}

// The matrices of `t`; where kernels cannot read those, `t` becomes a copy.
Matrices matrices_of(Tensor& t, const Sizes& heads) {
  Matrices m;
  if (t.strides().back() != 1 || !fill_heads(m.heads, t, heads)) {
    t = contiguous(t);
    fill_heads(m.heads, t, heads);
  }
  const int64_t item = static_cast<int64_t>(size_of(t.dtype()));
  m.memory = memory_of(t);
  m.dtype = t.dtype();
  m.row = t.strides()[t.ndim() - 2] * item;
  uint64_t bits = reinterpret_cast<uint64_t>(m.memory) | static_cast<uint64_t>(m.row);
  for (int i = 0; i < m.heads.count; ++i) bits |= static_cast<uint64_t>(m.heads.strides[i]);
  m.is_vectorised =
      t.size(-1) % kVector == 0 && bits % (static_cast<uint64_t>(item) * kVector) == 0;
  return m;
}

// Whether kernels take all of them as bfloat16 two in a register.
bool are_packed(std::initializer_list<Matrices> all) {
  return std::ranges::all_of(
      all, [](const Matrices& m) { return m.dtype == DType::bfloat16_ && m.is_vectorised; });
}

bool fill_mask(AttentionMask& m, const Tensor& t, const Sizes& heads) {
  m.memory = nullptr;
  if (!t) return true;
  const int64_t item = static_cast<int64_t>(size_of(t.dtype()));
  const auto step = [&](int from_end) {
    const int axis = t.ndim() - from_end;
    return axis < 0 || t.size(axis) == 1 ? 0 : t.strides()[axis] * item;
  };
  m.memory = memory_of(t);
  m.dtype = t.dtype();
  m.row = step(2);
  m.column = step(1);
  return fill_heads(m.heads, t, heads);
}

// What both ops are given.
struct Heads {
  Tensor query, key, value;
  Sizes axes;  // that heads are counted along
  AttentionParams params{};
  int device;
  Kind kind;

  Heads(const OpCall& call, int first)
      : query(call.operand(first)),
        key(call.operand(first + 1)),
        value(call.operand(first + 2)),
        axes(query.sizes().begin(), query.sizes().end() - 2),
        device(query.device().index) {
    AttentionParams& p = params;
    p.heads = static_cast<uint32_t>(product(axes));
    p.queries = static_cast<uint32_t>(query.size(-2));
    p.keys = static_cast<uint32_t>(key.size(-2));
    p.width = static_cast<uint32_t>(query.size(-1));
    p.value_width = static_cast<uint32_t>(value.size(-1));
    p.is_causal = call.attr(0).as_bool();
    p.scale = static_cast<float>(call.attr(1).as_double());
    p.query = matrices_of(query, axes);
    p.key = matrices_of(key, axes);
    p.value = matrices_of(value, axes);
    const bool is_exact =
        query.dtype() == DType::float32_ && blas::float32_precision() == blas::Precision::highest;
    const bool is_wide = std::max(p.width, p.value_width) > 32;
    const bool is_packed = is_wide && are_packed({p.query, p.key, p.value});
    kind = is_exact ? kFloat32 : is_packed ? kBFloat16 : is_wide ? kTf32 : kTf32Narrow;
  }

  // A block of kAttentionBlock of `rows` rows, for each head.
  template <class Params>
  void launch_blocks(KernelName* kernels, Params& p, uint32_t& blocks, uint32_t rows) const {
    blocks = (rows + kAttentionBlock - 1) / kAttentionBlock;
    if (blocks == 0 || params.heads == 0) return;
    launch(kernels[kind], device, {blocks * params.heads}, kAttentionThreads, 0, p);
  }
};

// Whether kernels take the operands from `first` and the mask.
bool is_taken(const OpCall& call, int first, const Tensor& mask) {
  const Tensor &query = call.operand(first), &value = call.operand(first + 2);
  if (query.dtype() == DType::float64_ || query.size(-1) > kMostWidth) return false;
  const Sizes axes(query.sizes().begin(), query.sizes().end() - 2);
  AttentionMask made;
  return value.size(-1) <= kMostWidth && fill_mask(made, mask, axes);
}

// Makes a result whose rows and heads lie in the order of those of the query, so that what is done
// next to both needs no copy; unless others have the result that is given.
void lay_out(Tensor& result, const Tensor& query) {
  if (result->use_count() != 1 || !result->storage || result->storage->use_count() != 1) return;
  std::vector<int> order(static_cast<size_t>(result.ndim() - 1));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int a, int b) { return query.strides()[a] > query.strides()[b]; });
  Sizes strides = result.strides();
  int64_t step = result.size(-1);
  for (auto axis = order.rbegin(); axis != order.rend(); ++axis) {
    strides[*axis] = step;
    step *= result.size(*axis);
  }
  result = as_view(result, result.sizes(), strides, 0);
}

void attention(const OpCall& call, std::span<Tensor> out) {
  const Tensor& mask = call.operand(3);
  if (!is_taken(call, 0, mask)) return run_body(call, out);
  check_size(call.op->name, std::max(call.operand(0).numel(), call.operand(1).numel()));
  Heads heads(call, 0);
  AttentionParams& p = heads.params;
  lay_out(out[0], call.operand(0));
  const ResultBuffer logsumexp(out[1], DType::float32_);
  Tensor result = out[0];
  p.out = matrices_of(result, heads.axes);
  p.logsumexp = logsumexp.data<float>();
  fill_mask(p.mask, mask, heads.axes);
  heads.launch_blocks(forwards, p, p.blocks, p.queries);
  if (!result.same(out[0])) copy_into(out[0], result);
  logsumexp.store();
}
OSTINATO_CUDA_KERNEL(attention, attention);

void attention_backward(const OpCall& call, std::span<Tensor> out) {
  const Tensor& mask = call.operand(6);
  if (!is_taken(call, 1, mask)) return run_body(call, out);
  Heads heads(call, 1);
  const ResultBuffer query_g(out[0], out[0].dtype()), key_g(out[1], out[1].dtype()),
      value_g(out[2], out[2].dtype());
  Tensor g = call.operand(0), y = call.operand(4),
         results[] = {query_g.tensor(), key_g.tensor(), value_g.tensor()};
  const Tensor logsumexp = contiguous_as(call.operand(5), DType::float32_);
  const Tensor along = empty(logsumexp.sizes(), DType::float32_, logsumexp.device());
  AttentionBackwardParams p{};
  p.given = heads.params;
  p.given.out = matrices_of(y, heads.axes);
  p.given.logsumexp = logsumexp.data<float>();
  fill_mask(p.given.mask, mask, heads.axes);
  p.g = matrices_of(g, heads.axes);
  if (heads.kind == kBFloat16 && !are_packed({p.g, p.given.out})) heads.kind = kTf32;
  p.query_g = matrices_of(results[0], heads.axes);
  p.key_g = matrices_of(results[1], heads.axes);
  p.value_g = matrices_of(results[2], heads.axes);
  p.along = along.data<float>();
  heads.launch_blocks(query_gradients, p, p.given.blocks, p.given.queries);
  heads.launch_blocks(key_gradients, p, p.given.blocks, p.given.keys);
  query_g.store();
  key_g.store();
  value_g.store();
}
OSTINATO_CUDA_KERNEL(attention_backward, attention_backward);

}  // namespace
}  // namespace ostinato::cuda
