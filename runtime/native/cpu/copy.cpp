#include "cpu/copy.hpp"

#include <cstring>

#include "core/parallel.hpp"
#include "cpu/convert.hpp"
#include "cpu/isa.hpp"
#include "cpu/simd/transpose.hpp"
#include "cpu/strided.hpp"
#include "cuda/copy.hpp"

namespace ostinato {

OSTINATO_PER_ISA(TransposeFn transposer(size_t item);)

namespace {

constexpr int64_t kGrain = 16384;  // elements
constexpr int64_t kTile = 32;      // rows and columns of a transposed tile

void copy_dense(const Tensor& to, const Tensor& from) {
  const int64_t item = static_cast<int64_t>(size_of(to.dtype()));
  std::byte* target = to.bytes();
  const std::byte* source = from.bytes();
  parallel_for(to.numel(), kGrain * 4, [=](int64_t begin, int64_t end) {
    std::memcpy(target + begin * item, source + begin * item,
                static_cast<size_t>((end - begin) * item));
  });
}

// The axis along which the source is dense while the innermost one is not, or -1.
int dense_source_axis(const StridedLoop& loop, int64_t item) {
  const int inner = loop.axes - 1;
  if (loop.strides[inner][0] != item || loop.strides[inner][1] == item) return -1;
  for (int i = 0; i < inner; ++i) {
    if (loop.strides[i][1] == item && loop.sizes[i] >= 4) return i;
  }
  return -1;
}

// Tiles of the (axis, innermost) plane: the target is dense along the columns, the source along the
// rows.
void copy_transposed(const StridedLoop& loop, int axis, int64_t item) {
  const int inner = loop.axes - 1;
  const TransposeFn transpose = OSTINATO_CHOOSE(transposer(static_cast<size_t>(item)));
  StridedLoop rest = loop;
  rest.axes = 0;
  rest.numel = 1;
  for (int i = 0; i < inner; ++i) {
    if (i == axis) continue;
    rest.sizes[rest.axes] = loop.sizes[i];
    std::copy(loop.strides[i], loop.strides[i] + 2, rest.strides[rest.axes++]);
    rest.numel *= loop.sizes[i];
  }
  rest.sizes[rest.axes] = 1;  // the run of StridedLoop: one plane
  rest.strides[rest.axes][0] = rest.strides[rest.axes][1] = 0;
  ++rest.axes;
  const int64_t rows = loop.sizes[axis], columns = loop.sizes[inner];
  const int64_t bands = (rows + kTile - 1) / kTile;
  const int64_t grain = std::max<int64_t>(1, kGrain / (kTile * columns));
  parallel_for(rest.numel * bands, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t first = i % bands * kTile, count = std::min(kTile, rows - first);
      rest.run(i / bands, i / bands + 1, [&](char* const* p, int64_t) {
        transpose(p[1] + first * item, loop.strides[inner][1], p[0] + first * loop.strides[axis][0],
                  loop.strides[axis][0], count, columns);
      });
    }
  });
}

}  // namespace

void copy_into(const Tensor& to, const Tensor& from) {
  if (to.numel() == 0) return;
  if (!to.device().is_cpu() || !from.device().is_cpu()) return cuda::copy_into(to, from);
  const bool same = to.dtype() == from.dtype();
  if (same && to.contiguous() && from.contiguous() && to.numel() == from.numel()) {
    return copy_dense(to, from);
  }
  StridedLoop loop;
  loop.begin(to.sizes());
  loop.add(to.sizes(), to);
  loop.add(to.sizes(), from);
  loop.coalesce();
  const int64_t item = static_cast<int64_t>(size_of(to.dtype()));
  const int axis = same ? dense_source_axis(loop, item) : -1;
  if (axis >= 0) return copy_transposed(loop, axis, item);
  const ConvertFn convert = converter(from.dtype(), to.dtype());
  const int64_t* strides = loop.strides[loop.axes - 1];
  parallel_for(loop.numel, kGrain, [&](int64_t begin, int64_t end) {
    loop.run(begin, end,
             [&](char* const* p, int64_t n) { convert(p[1], strides[1], p[0], strides[0], n); });
  });
}

Tensor contiguous(const Tensor& t) {
  if (t.contiguous()) return t;
  const Tensor made = empty(t.sizes(), t.dtype(), t.device());
  copy_into(made, t);
  return made;
}

Tensor contiguous_as(const Tensor& t, DType dtype) {
  if (t.contiguous() && t.dtype() == dtype) return t;
  const Tensor made = empty(t.sizes(), dtype, t.device());
  copy_into(made, t);
  return made;
}

ResultBuffer::ResultBuffer(const Tensor& result, DType dtype)
    : result_(result),
      work_(result.contiguous() && result.dtype() == dtype
                ? result
                : empty(result.sizes(), dtype, result.device())) {}

void ResultBuffer::store() const {
  if (!work_.same(result_)) copy_into(result_, work_);
}

}  // namespace ostinato
