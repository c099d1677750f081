#include "core/place.hpp"

#include <algorithm>
#include <cstdlib>

namespace ostinato {
namespace {

// An axis of the root of more than one element: a step of `stride` elements of memory is one of
// `step` elements in row-major order.
struct Axis {
  int64_t size;
  int64_t stride;
  int64_t step;
};
using Axes = SmallVector<Axis, 6>;

// The axes with the widest stride first; none where indices share memory.
std::optional<Axes> axes_of(const Tensor& root) {
  Axes axes;
  const Sizes steps = contiguous_strides(root.sizes());
  for (int i = 0; i < root.ndim(); ++i) {
    if (root.size(i) != 1) axes.push_back({root.size(i), root.strides()[i], steps[i]});
  }
  std::sort(axes.begin(), axes.end(),
            [](const Axis& a, const Axis& b) { return a.stride > b.stride; });
  int64_t reach = 0;
  for (int i = axes.ssize() - 1; i >= 0; --i) {
    if (axes[i].stride <= reach) return std::nullopt;
    reach += (axes[i].size - 1) * axes[i].stride;
  }
  return axes;
}

// A distance in memory as steps along each axis; false where it is none.
bool split(int64_t distance, const Axes& axes, Sizes& counts) {
  const int64_t sign = distance < 0 ? -1 : 1;
  int64_t left = std::abs(distance);
  for (const Axis& a : axes) {
    counts.push_back(sign * (left / a.stride));
    left %= a.stride;
  }
  return left == 0;
}

int64_t in_elements(const Sizes& counts, const Axes& axes) {
  int64_t total = 0;
  for (size_t i = 0; i < axes.size(); ++i) total += counts[i] * axes[i].step;
  return total;
}

}  // namespace

std::optional<Place> place_among(const Tensor& root, const Tensor& view) {
  if (root.contiguous()) return Place{view.strides(), view->offset - root->offset};
  const std::optional<Axes> axes = axes_of(root);
  Sizes low;
  if (!axes || !split(view->offset - root->offset, *axes, low)) return std::nullopt;
  Place place{Sizes(view.sizes().size(), 1), in_elements(low, *axes)};
  Sizes high = low;
  for (int i = 0; i < view.ndim(); ++i) {
    if (view.size(i) == 1) continue;
    Sizes counts;
    if (!split(view.strides()[i], *axes, counts)) return std::nullopt;
    place.strides[i] = in_elements(counts, *axes);
    for (size_t a = 0; a < axes->size(); ++a) {
      (counts[a] < 0 ? low : high)[a] += (view.size(i) - 1) * counts[a];
    }
  }
  for (size_t a = 0; a < axes->size(); ++a) {
    if (view.numel() != 0 && (low[a] < 0 || high[a] >= (*axes)[a].size)) return std::nullopt;
  }
  return place;
}

}  // namespace ostinato
