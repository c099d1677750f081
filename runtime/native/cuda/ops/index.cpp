// Reading at indices and adding at indices. An index out of range reads zeros, adds nothing, and is
// raised when the host next waits for the device.
#include "cuda/kernels/index.hpp"

#include "cpu/around.hpp"
#include "cpu/checks.hpp"
#include "cpu/copy.hpp"
#include "cuda/axes.hpp"
#include "cuda/failure.hpp"
#include "cuda/ops/arguments.hpp"
#include "cuda/ops/sort.hpp"
#include "dispatch/shape_rules.hpp"

namespace ostinato::cuda {
namespace {

KernelName selects[] = {{"index", "index_select_1"},
                        {"index", "index_select_2"},
                        {"index", "index_select_4"},
                        {"index", "index_select_8"},
                        {"index", "index_select_16"}};
KernelName gathers[] = {
    {"index", "gather_1"}, {"index", "gather_2"}, {"index", "gather_4"}, {"index", "gather_8"}};
KernelName chunk_adds[] = {{"index_add", "add_chunks_float32"},
                           {"index_add", "add_chunks_float64"},
                           {"index_add", "add_chunks_int64"}};
KernelName chunk_joins[] = {{"index_add", "join_chunks_float32"},
                            {"index_add", "join_chunks_float64"},
                            {"index_add", "join_chunks_int64"}};
KernelName find_places_kernel{"index", "find_places"};

IndexCheck check_of(const OpCall& call, int device) {
  return {failure_of(device), call.op->id + 1u};
}

void index_select(const OpCall& call, std::span<Tensor> out) {
  const Around at(call, call.attr(0).as_int(), call.operand(0).sizes());
  const Tensor x = contiguous(call.operand(0)), index = contiguous(call.operand(1));
  const ResultBuffer y(out[0], x.dtype());
  if (out[0].numel() == 0) return;
  check_size("index_select", std::max(x.numel(), out[0].numel()));
  // Rows move in the widest words that they are made of.
  const uint64_t item = size_of(x.dtype());
  const uint64_t row = item * static_cast<uint64_t>(at.inner);
  const uint64_t aligned = row | reinterpret_cast<uint64_t>(x.bytes()) |
                           reinterpret_cast<uint64_t>(y.tensor().bytes()) | 16;
  const uint64_t word = aligned & (~aligned + 1);
  const int64_t inner = static_cast<int64_t>(row / word), m = index.numel();
  const int device = x.device().index;
  const SelectParams p{memory_of(x),
                       memory_of(y.tensor()),
                       memory_of(index),
                       index.dtype(),
                       static_cast<uint32_t>(at.outer * m * inner),
                       static_cast<uint32_t>(m),
                       static_cast<uint32_t>(at.n),
                       static_cast<uint32_t>(inner),
                       check_of(call, device)};
  launch(selects[by_size(word)], device, grid_for(p.count, device), kThreads, 0, p);
  y.store();
}
OSTINATO_CUDA_KERNEL(index_select, index_select);

// The axes of `index`, with the strides (times `item`) of another tensor, or 0 along `but`.
void fill_strides(const OpCall& call, Axes& axes, const Sizes& sizes, const Sizes& strides,
                  int64_t item, int but) {
  axes.count = 0;
  for (int i = sizes.ssize() - 1; i >= 0; --i) {
    if (add_axis(axes, sizes[i], i == but ? 0 : strides[i] * item)) continue;
    throw Error(ErrorKind::shape, std::string(call.op->name) + ": index has shape " + show(sizes) +
                                      " of too many axes for CUDA; give at most 8");
  }
}

int index_axis(const OpCall& call, const Tensor& index) {
  return axis_of(call.op->name, call.attr(0).as_int(), index.ndim(), index.sizes());
}

int64_t size_along(const Tensor& x, int axis) { return x.ndim() == 0 ? 1 : x.size(axis); }

void gather(const OpCall& call, std::span<Tensor> out) {
  const Tensor &x = call.operand(0), &index = call.operand(1), &y = out[0];
  const int axis = index_axis(call, index);
  if (index.numel() == 0) return;
  check_size("gather", std::max(index.numel(), size_along(x, axis)));
  const int64_t item = static_cast<int64_t>(size_of(x.dtype()));
  const int64_t index_item = static_cast<int64_t>(size_of(index.dtype()));
  const int device = y.device().index;
  GatherParams p;
  p.from = memory_of(x);
  p.index = memory_of(index);
  p.to = memory_of(y);
  p.index_dtype = index.dtype();
  p.count = static_cast<uint32_t>(index.numel());
  p.n = static_cast<uint32_t>(size_along(x, axis));
  p.step = x.ndim() == 0 ? 0 : x.strides()[axis] * item;
  fill_strides(call, p.from_axes, index.sizes(), x.strides(), item, axis);
  fill_strides(call, p.index_axes, index.sizes(), index.strides(), index_item, -1);
  fill_strides(call, p.to_axes, index.sizes(), y.strides(), item, -1);
  p.check = check_of(call, device);
  launch(gathers[by_size(size_of(x.dtype()))], device, grid_for(p.count, device), kThreads, 0, p);
}
OSTINATO_CUDA_KERNEL(gather, gather);

int kind_of(DType t) { return t == DType::float64_ ? 1 : is_float(t) ? 0 : 2; }

int bits_for(int64_t places) {
  int bits = 0;
  while (int64_t{1} << bits <= places) ++bits;
  return bits;
}

// Whether rows of `inner` elements of `t` move in vectors, where they are summed in `compute`.
bool has_vectors(const Tensor& t, int64_t inner, DType compute) {
  const uint64_t item = size_of(t.dtype());
  const bool known =
      t.dtype() == compute || (compute == DType::float32_ && is_float(t.dtype()) && item == 2);
  const uint64_t together = std::min<uint64_t>(16, item * kVector);
  return known && inner % kVector == 0 && reinterpret_cast<uint64_t>(t.bytes()) % together == 0;
}

// Adds `source` (outer, m, inner) to dense y (outer, n, inner) at m places, one for each row.
void add_at(const Tensor& places, const Around& at, const Tensor& source, const Tensor& y) {
  const Sorted sorted = sort(places, bits_for(at.n));
  const Tensor dense = contiguous(source);
  constexpr DType kComputes[] = {DType::float32_, DType::float64_, DType::int64_};
  const int kind = kind_of(y.dtype()), device = y.device().index;
  const DType compute = kComputes[kind];
  const int64_t chunks = (places.numel() + kAddChunk - 1) / kAddChunk;
  const Tensor sums = empty({2, at.outer * chunks * at.inner}, compute, y.device());
  const bool is_vectorised =
      has_vectors(dense, at.inner, compute) && has_vectors(y, at.inner, compute);
  const AddParams p{reinterpret_cast<const uint32_t*>(sorted.keys.bytes()),
                    reinterpret_cast<const uint32_t*>(sorted.numbers.bytes()),
                    memory_of(dense),
                    memory_of(y),
                    memory_of(sums),
                    memory_of(sums) + sums.numel() / 2 * static_cast<int64_t>(size_of(compute)),
                    dense.dtype(),
                    y.dtype(),
                    is_vectorised,
                    static_cast<uint32_t>(at.outer),
                    static_cast<uint32_t>(chunks),
                    static_cast<uint32_t>(places.numel()),
                    static_cast<uint32_t>(at.n),
                    static_cast<uint32_t>(at.inner)};
  const int64_t threads = at.outer * chunks * at.inner / (is_vectorised ? kVector : 1);
  launch(chunk_adds[kind], device, grid_for(threads, device), kThreads, 0, p);
  void* arguments[] = {const_cast<AddParams*>(&p)};
  const int64_t across = (threads + kAddColumns - 1) / kAddColumns;
  launch(chunk_joins[kind].on(device), device, {static_cast<uint32_t>(across)},
         {kAddColumns, kAddRows}, 0, arguments);
}

// The place of each element of the index: where the other axes put it, and `step` times the index
// along an axis of `n`; `places` in all.
Tensor find_places(const OpCall& call, const Tensor& index, const Axes& base, int64_t n,
                   int64_t step, int64_t places) {
  const int64_t item = static_cast<int64_t>(size_of(index.dtype()));
  const int device = index.device().index;
  const Tensor made = empty({index.numel()}, DType::int32_, index.device());
  PlacesParams p;
  p.index = memory_of(index);
  p.to = reinterpret_cast<uint32_t*>(made.bytes());
  p.index_dtype = index.dtype();
  p.count = static_cast<uint32_t>(index.numel());
  p.n = static_cast<uint32_t>(n);
  p.step = static_cast<uint32_t>(step);
  p.nowhere = static_cast<uint32_t>(places);
  p.base = base;
  fill_strides(call, p.index_axes, index.sizes(), index.strides(), item, -1);
  p.check = check_of(call, device);
  launch(find_places_kernel, device, grid_for(p.count, device), kThreads, 0, p);
  return made;
}

// `y` has what rows are added to.
void add_rows(const OpCall& call, const Tensor& index, const Tensor& source, const Tensor& y,
              int64_t dim) {
  if (source.numel() == 0) return;
  check_size(call.op->name, std::max(source.numel(), y.numel()));
  const Around at(call, dim, y.sizes());
  Axes none;
  none.count = 0;
  add_axis(none, index.numel(), 0);
  add_at(find_places(call, index, none, at.n, 1, at.n), at, source, y);
}

void index_add(const OpCall& call, std::span<Tensor> out) {
  const Tensor &x = call.operand(0), &index = call.operand(1), &source = call.operand(2);
  const int64_t dim = call.attr(0).as_int();
  check_source(call, "source", source.sizes(), x.sizes(), index, dim);
  const ResultBuffer y(out[0], out[0].dtype());
  copy_into(y.tensor(), x);
  add_rows(call, index, source, y.tensor(), dim);
  y.store();
}
OSTINATO_CUDA_KERNEL(index_add, index_add);

void index_select_backward(const OpCall& call, std::span<Tensor> out) {
  const Tensor &g = call.operand(0), &index = call.operand(1);
  const int64_t dim = call.attr(0).as_int();
  check_source(call, "g", g.sizes(), out[0].sizes(), index, dim);
  const ResultBuffer y(out[0], out[0].dtype());
  copy_into(y.tensor(), number(int64_t{0}));
  add_rows(call, index, g, y.tensor(), dim);
  y.store();
}
OSTINATO_CUDA_KERNEL(index_select_backward, index_select_backward);

void scatter_add(const OpCall& call, std::span<Tensor> out) {
  const Tensor &x = call.operand(0), &index = call.operand(1);
  Tensor source = call.operand(2);
  const int axis = index_axis(call, index);
  const ResultBuffer y(out[0], out[0].dtype());
  copy_into(y.tensor(), x);
  if (index.numel() > 0) {
    check_size("scatter_add", std::max(index.numel(), x.numel()));
    const Sizes& strides = y.tensor().strides();
    Axes base;
    fill_strides(call, base, index.sizes(), strides, 1, axis);
    // The source may be longer than the index; each element of the index takes its own.
    if (source.sizes() != index.sizes()) {
      source = as_view(source, index.sizes(), source.strides(), source->offset);
    }
    const int64_t step = strides.empty() ? 0 : strides[axis];
    const Tensor places =
        find_places(call, index, base, size_along(x, axis), step, y.tensor().numel());
    Around each(call, 0, Sizes{y.tensor().numel()});
    add_at(places, each, source, y.tensor());
  }
  y.store();
}
OSTINATO_CUDA_KERNEL(scatter_add, scatter_add);

}  // namespace
}  // namespace ostinato::cuda
