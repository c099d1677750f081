#include "bindings/index_bounds.hpp"

#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include <algorithm>

#include "bindings/python.hpp"
#include "cpu/checks.hpp"
#include "cpu/copy.hpp"

namespace nb = nanobind;

namespace ostinato::python {
IndexBounds::IndexBounds(nb::handle region) {
  for (nb::handle i : nb::object(region.attr("indices"))) {
    every_.push_back({TensorSource(i[0]), nb::cast<std::string>(i[1]), nb::cast<int64_t>(i[2]),
                      nb::cast<std::optional<int64_t>>(i[3]), sizes_from(i[4].ptr()),
                      sizes_from(i[5].ptr()), nb::cast<int64_t>(i[6])});
  }
}

void IndexBounds::check(nb::handle leaves) const {
  for (const Indices& i : every_) {
    const Tensor whole(i.source.find(leaves));
    if (whole) i.check(whole);
  }
}

void IndexBounds::Indices::check(const Tensor& whole) const {
  const Tensor dense = contiguous_as(whole, whole.dtype());
  const Tensor shown =
      contiguous_as(as_view(dense, sizes, strides, dense->offset + offset), DType::int64_);
  const auto* at = shown.data<const int64_t>();
  const auto is_wrong = [&](int64_t index) {
    return static_cast<uint64_t>(index) >= static_cast<uint64_t>(size) && index != ignored;
  };
  const auto* wrong = std::find_if(at, at + shown.numel(), is_wrong);
  if (wrong == at + shown.numel()) return;
  if (op == "cross_entropy") fail_target(*wrong, size);
  fail_index(op.c_str(), *wrong, size);
}

}  // namespace ostinato::python
