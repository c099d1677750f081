#include <algorithm>
#include <utility>
#include <vector>

#include "cpu/strided.hpp"
#include "cuda/copy.hpp"
#include "cuda/kernels/copy.hpp"
#include "cuda/ops/arguments.hpp"
#include "cuda/pointwise.hpp"
#include "dispatch/op_table.hpp"
#include "dispatch/shape_rules.hpp"
#include "ops.hpp"

namespace ostinato::cuda {
namespace {

constexpr uint32_t kMostPlanes = 65535;  // of a grid's last axis

KernelName copies[] = {
    {"copy", "copy_1"}, {"copy", "copy_2"}, {"copy", "copy_4"}, {"copy", "copy_8"}};
KernelName transposes[] = {{"copy", "transpose_1"},
                           {"copy", "transpose_2"},
                           {"copy", "transpose_4"},
                           {"copy", "transpose_8"}};
constexpr DType kWords[] = {DType::uint8_, DType::int16_, DType::int32_, DType::int64_};

// The axis along which the source is dense while the target is not, -1 where tiles do not pay.
int dense_source_axis(const StridedLoop& loop, int64_t item) {
  const int inner = loop.axes - 1;
  if (loop.strides[inner][0] != item || loop.strides[inner][1] == item) return -1;
  if (loop.sizes[inner] < 8) return -1;
  for (int i = 0; i < inner; ++i) {
    if (loop.strides[i][1] == item && loop.sizes[i] >= 8) return i;
  }
  return -1;
}

// False where the loop does not fit a launch.
bool transpose(const StridedLoop& loop, int axis, int64_t item, int device) {
  const int inner = loop.axes - 1;
  TransposeParams p;
  p.to = loop.data[0];
  p.from = loop.data[1];
  p.axes = 0;
  int64_t planes = 1;
  for (int i = inner - 1; i >= 0; --i) {
    if (i == axis) continue;
    if (p.axes == kMostAxes) return false;
    p.sizes[p.axes] = static_cast<uint32_t>(loop.sizes[i]);
    p.to_strides[p.axes] = loop.strides[i][0];
    p.from_strides[p.axes++] = loop.strides[i][1];
    planes *= loop.sizes[i];
  }
  const int64_t rows = loop.sizes[axis], columns = loop.sizes[inner];
  const int64_t down = (rows + kTile - 1) / kTile, across = (columns + kTile - 1) / kTile;
  if (planes > kMostPlanes || down > kMostPlanes || columns >= int64_t{1} << 31) return false;
  p.rows = static_cast<uint32_t>(rows);
  p.columns = static_cast<uint32_t>(columns);
  p.to_step = loop.strides[axis][0];
  p.from_step = loop.strides[inner][1];
  const Grid grid{static_cast<uint32_t>(across), static_cast<uint32_t>(down),
                  static_cast<uint32_t>(planes)};
  void* arguments[] = {&p};
  launch(transposes[by_size(static_cast<size_t>(item))].on(device), device, grid,
         {kTile, kTileRows}, 0, arguments);
  return true;
}

void move(const Tensor& to, const Tensor& from) {
  const int64_t item = static_cast<int64_t>(size_of(to.dtype()));
  if (!from.contiguous() && from.ndim() > 1) {
    StridedLoop loop;
    loop.begin(to.sizes());
    loop.add(to.sizes(), to);
    loop.add(to.sizes(), from);
    loop.coalesce();
    const int axis = dense_source_axis(loop, item);
    if (axis >= 0 && transpose(loop, axis, item, to.device().index)) return;
  }
  const int size = by_size(static_cast<size_t>(item));
  const LoopArgument arguments[] = {{&to, kWords[size], kWords[size]},
                                    {&from, kWords[size], kWords[size]}};
  run_loop(copies[size], arguments);
}

}  // namespace

void copy_strided(const Tensor& to, const Tensor& from) {
  if (to.dtype() == from.dtype() && from.device().is_cuda()) return move(to, from);
  const DType compute = to.dtype() == DType::bool_      ? DType::bool_
                        : !is_float(to.dtype())         ? DType::int64_
                        : to.dtype() == DType::float64_ ? DType::float64_
                                                        : DType::float32_;
  const auto& forms = op_info(op::to).pointwise->forward[0];
  const PointwiseEntry& entry = *forms[static_cast<int>(compute)];
  const LoopArgument arguments[] = {{&to, to.dtype(), compute}, {&from, from.dtype(), compute}};
  run_loop(pointwise_kernel(entry.number), arguments);
}

namespace {

KernelName in_order{"copy", "store_in_order"};

// Whether no two elements of a view lie in one place: each axis strides past the smaller ones.
bool is_injective(const Sizes& sizes, const Sizes& strides) {
  std::vector<std::pair<int64_t, int64_t>> axes;
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] > 1) axes.push_back({std::abs(strides[i]), sizes[i]});
  }
  std::sort(axes.begin(), axes.end());
  int64_t reach = 0;
  for (const auto& [stride, size] : axes) {
    if (stride <= reach) return false;
    reach += stride * (size - 1);
  }
  return true;
}

}  // namespace

void store_in_order(const Tensor& to, const Tensor& from, const Sizes& sizes, const Sizes& strides,
                    int64_t offset) {
  if (from.numel() == 0) return;
  if (is_injective(sizes, strides)) {
    return cuda::copy_into(as_view(to, sizes, strides, to->offset + offset), from);
  }
  const int64_t item = static_cast<int64_t>(size_of(to.dtype()));
  StoreParams p{memory_of(from),
                memory_of(to) + offset * item,
                from.numel(),
                static_cast<int32_t>(item),
                0,
                {},
                {}};
  for (int i = sizes.ssize() - 1; i >= 0; --i) {
    if (sizes[i] == 1) continue;
    if (p.axes == 2 * kMostAxes) {
      throw Error(ErrorKind::shape, "as_strided_scatter: size " + show(sizes) +
                                        " has too many axes for CUDA; give at most 16");
    }
    p.sizes[p.axes] = sizes[i];
    p.strides[p.axes++] = strides[i] * item;
  }
  launch(in_order, to.device().index, {1}, 1, 0, p);
}

}  // namespace ostinato::cuda
