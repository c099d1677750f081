// Scaled dot-product attention and its gradient: heads on the pool, blocks of queries in the cache.
#include "cpu/simd/attention.hpp"

#include <cstring>
#include <limits>

#include "core/parallel.hpp"
#include "cpu/by_dtype.hpp"
#include "cpu/copy.hpp"
#include "cpu/isa.hpp"
#include "dispatch/op_call.hpp"

namespace ostinato {

OSTINATO_PER_ISA(void attention_fns(AttentionFns<float>& fns);
                 void attention_fns(AttentionFns<double>& fns);)

namespace {

template <class T>
const AttentionFns<T>& fns() {
  static const AttentionFns<T> made = [] {
    AttentionFns<T> found;
    OSTINATO_CHOOSE(attention_fns(found));
    return found;
  }();
  return made;
}

int64_t padded_to(int64_t n) { return (n + kPadding - 1) / kPadding * kPadding; }

// The first `size` columns of `t`.
Tensor columns_of(const Tensor& t, int64_t size) {
  Sizes sizes = t.sizes();
  sizes.back() = size;
  return as_view(t, std::move(sizes), t.strides(), t->offset);
}

Sizes padded_sizes(const Tensor& t) {
  Sizes sizes = t.sizes();
  sizes.back() = padded_to(sizes.back());
  return sizes;
}

// `t` in `dtype` with rows of a padded width: itself where it has them.
Tensor padded_rows(const Tensor& t, DType dtype) {
  const int64_t size = t.size(-1);
  if (t.dtype() == dtype && t.strides().back() == 1 && size % kPadding == 0) return t;
  const Tensor made = empty(padded_sizes(t), dtype);
  if (size % kPadding != 0) copy_into(made, number(false));
  copy_into(columns_of(made, size), t);
  return made;
}

// Room for a result with rows of a padded width.
class PaddedResult {
 public:
  PaddedResult(const Tensor& result, DType dtype) : result_(result) {
    const bool fits =
        result.dtype() == dtype && result.strides().back() == 1 && result.size(-1) % kPadding == 0;
    rows_ = fits ? result : empty(padded_sizes(result), dtype);
  }
  const Tensor& rows() const { return rows_; }
  void store() const {
    if (!rows_.same(result_)) copy_into(result_, columns_of(rows_, result_.size(-1)));
  }

 private:
  Tensor result_;
  Tensor rows_;
};

// Where the matrix of head `index` starts, in elements; `batch` are the sizes of the leading axes.
int64_t head_offset(const Tensor& t, const Sizes& batch, int64_t index) {
  const int lead = batch.ssize() + 2 - t.ndim();
  int64_t offset = 0;
  for (int i = batch.ssize() - 1; i >= 0; --i) {
    const int64_t at = index % batch[i];
    index /= batch[i];
    if (i >= lead && t.size(i - lead) != 1) offset += at * t.strides()[i - lead];
  }
  return offset;
}

template <class T>
Rows<T> head_rows(const Tensor& t, const Sizes& batch, int64_t index) {
  return {t.data<T>() + head_offset(t, batch, index), t.strides()[t.ndim() - 2]};
}

// A mask as numbers to add: 0 and -inf for bool.
Tensor added_mask(const Tensor& mask, DType dtype) {
  if (mask.dtype() != DType::bool_) {
    return mask.dtype() == dtype ? mask : contiguous_as(mask, dtype);
  }
  const Tensor seen = contiguous(mask), made = empty(mask.sizes(), dtype);
  for_real(dtype, [&]<class T>(T) {
    for (int64_t i = 0; i < seen.numel(); ++i) {
      const bool hidden = seen.data<uint8_t>()[i] == 0;
      made.data<T>()[i] = hidden ? -std::numeric_limits<T>::infinity() : T{0};
    }
  });
  return made;
}

// The rows side by side in `to`.
template <class T>
void pack(Rows<const T> from, int64_t rows, int64_t width, T* to) {
  for (int64_t r = 0; r < rows; ++r) {
    std::memcpy(to + r * width, from.row(r), static_cast<size_t>(width) * sizeof(T));
  }
}

// The operands of both ops.
struct Operands {
  DType dtype;
  Tensor query, key, value, mask;
  bool causal;
  double scale;
  Sizes batch;
  int64_t heads, queries, keys, width, value_width, padded;

  Operands(const OpCall& call, int first, const Tensor& given_mask)
      : dtype(compute_dtype(call.operand(first).dtype())),
        query(padded_rows(call.operand(first), dtype)),
        key(padded_rows(call.operand(first + 1), dtype)),
        value(padded_rows(call.operand(first + 2), dtype)),
        causal(call.attr(0).as_bool()),
        scale(call.attr(1).as_double()),
        batch(query.sizes().begin(), query.sizes().end() - 2),
        heads(product(batch)),
        queries(query.size(-2)),
        keys(key.size(-2)),
        width(query.size(-1)),
        value_width(value.size(-1)),
        padded(padded_to(keys)) {
    if (given_mask) mask = added_mask(given_mask, dtype);
  }

  // Head i, but for what is packed.
  template <class T>
  AttentionHead<T> head(int64_t i) const {
    AttentionHead<T> h{};
    h.queries = queries;
    h.keys = keys;
    h.width = width;
    h.value_width = value_width;
    h.causal = causal;
    h.scale = static_cast<T>(scale);
    h.query = head_rows<const T>(query, batch, i);
    h.padded = padded;
    if (mask) set_mask(h, i);
    return h;
  }

 private:
  template <class T>
  void set_mask(AttentionHead<T>& h, int64_t i) const {
    const int n = mask.ndim();
    const auto step = [&](int axis) {
      return axis < 0 || mask.size(axis) == 1 ? 0 : mask.strides()[axis];
    };
    h.mask = mask.data<T>() + (n > 2 ? head_offset(mask, batch, i) : 0);
    h.mask_row = step(n - 2);
    h.mask_column = step(n - 1);
  }
};

template <class T>
void forward(const Operands& o, const Tensor& out, const Tensor& logsumexp) {
  const Tensor columns = empty({o.heads, o.width, o.padded}, o.dtype);
  const Tensor values = empty({o.heads, o.keys, o.value_width}, o.dtype);
  T* key_columns = columns.data<T>();
  T* value = values.data<T>();
  const int64_t keys_size = o.width * o.padded, values_size = o.keys * o.value_width;
  parallel_for(o.heads, std::max<int64_t>(1, 16384 / (keys_size + values_size + 1)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t i = begin; i < end; ++i) {
                   fns<T>().transpose(head_rows<const T>(o.key, o.batch, i), o.keys, o.width,
                                      key_columns + i * keys_size, o.padded);
                   pack(head_rows<const T>(o.value, o.batch, i), o.keys, o.value_width,
                        value + i * values_size);
                 }
               });
  const int64_t blocks = (o.queries + kQueryBlock - 1) / kQueryBlock;
  const int64_t work = kQueryBlock * o.padded * o.width + 1;
  parallel_for(o.heads * blocks, std::max<int64_t>(1, 65536 / work),
               [&](int64_t begin, int64_t end) {
                 const Tensor scratch = empty({kQueryBlock, o.padded + o.width}, o.dtype);
                 for (int64_t task = begin; task < end; ++task) {
                   const int64_t i = task / blocks, first = task % blocks * kQueryBlock;
                   AttentionHead<T> head = o.head<T>(i);
                   head.key_columns = key_columns + i * keys_size;
                   head.value = value + i * values_size;
                   fns<T>().forward(head, first, std::min(kQueryBlock, o.queries - first),
                                    head_rows<T>(out, o.batch, i),
                                    logsumexp.data<T>() + i * o.queries, scratch.data<T>());
                 }
               });
}

void attention(const OpCall& call, std::span<Tensor> out) {
  const Operands o(call, 0, call.operand(3));
  const PaddedResult y(out[0], o.dtype);
  const ResultBuffer logsumexp(out[1], o.dtype);
  if (logsumexp.tensor().numel() > 0) {
    for_real(o.dtype, [&]<class T>(T) { forward<T>(o, y.rows(), logsumexp.tensor()); });
  }
  y.store();
  logsumexp.store();
}
OSTINATO_KERNEL(attention, attention);

// The packed operands of one head, in one piece of memory.
template <class T>
struct HeadScratch {
  Tensor memory;
  T *key, *g, *key_columns, *value_columns, *blocks;

  explicit HeadScratch(const Operands& o) {
    const int64_t sizes[] = {o.keys * o.width, o.queries * o.value_width, o.width * o.padded,
                             o.value_width * o.padded, kQueryBlock * (2 * o.padded + o.width)};
    int64_t total = 0;
    for (int64_t size : sizes) total += size;
    memory = empty({total}, o.dtype);
    T* at = memory.data<T>();
    T** const parts[] = {&key, &g, &key_columns, &value_columns, &blocks};
    for (int i = 0; i < 5; ++i) {
      *parts[i] = at;
      at += sizes[i];
    }
  }
};

template <class T>
void backward(const Operands& o, const Tensor& g, const Tensor& out, const Tensor& logsumexp,
              const PaddedResult* results) {
  const int64_t work = o.queries * o.padded * o.width + 1;
  parallel_for(o.heads, std::max<int64_t>(1, 65536 / work), [&](int64_t begin, int64_t end) {
    const HeadScratch<T> own(o);
    for (int64_t i = begin; i < end; ++i) {
      const Rows<const T> key = head_rows<const T>(o.key, o.batch, i);
      pack(key, o.keys, o.width, own.key);
      pack(head_rows<const T>(g, o.batch, i), o.queries, o.value_width, own.g);
      fns<T>().transpose(key, o.keys, o.width, own.key_columns, o.padded);
      fns<T>().transpose(head_rows<const T>(o.value, o.batch, i), o.keys, o.value_width,
                         own.value_columns, o.padded);
      AttentionHead<T> head = o.head<T>(i);
      head.key = own.key;
      head.key_columns = own.key_columns;
      head.value_columns = own.value_columns;
      AttentionGradient<T> gradient{};
      gradient.g = own.g;
      gradient.out = head_rows<const T>(out, o.batch, i);
      gradient.logsumexp = logsumexp.data<T>() + i * o.queries;
      gradient.query_g = head_rows<T>(results[0].rows(), o.batch, i);
      gradient.key_g = head_rows<T>(results[1].rows(), o.batch, i);
      gradient.value_g = head_rows<T>(results[2].rows(), o.batch, i);
      fns<T>().backward(head, gradient, own.blocks);
    }
  });
}

void attention_backward(const OpCall& call, std::span<Tensor> out) {
  const Operands o(call, 1, call.operand(6));
  const Tensor g = padded_rows(call.operand(0), o.dtype);
  const Tensor y = padded_rows(call.operand(4), o.dtype);
  const Tensor logsumexp = contiguous_as(call.operand(5), o.dtype);
  const PaddedResult results[] = {PaddedResult(out[0], o.dtype), PaddedResult(out[1], o.dtype),
                                  PaddedResult(out[2], o.dtype)};
  for_real(o.dtype, [&]<class T>(T) { backward<T>(o, g, y, logsumexp, results); });
  for (const PaddedResult& r : results) r.store();
}
OSTINATO_KERNEL(attention_backward, attention_backward);

}  // namespace
}  // namespace ostinato
