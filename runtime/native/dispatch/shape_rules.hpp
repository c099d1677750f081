// The C++ forms of the shape rules of ir/shapes.py; ops.cpp (generated) calls them. Same checks,
// same texts: a table test runs both forms on every sample.
#pragma once
#include <initializer_list>
#include <string>

#include "dispatch/op_call.hpp"

namespace ostinato {

// `dim` counted from the front; 0-d values have axis 0.
int axis_of(const char* op, int64_t dim, int ndim, std::span<const int64_t> shape);
// IndexError unless elements of these sizes and strides, from `offset`, lie among `room` ones.
void check_reach(const char* op, const Sizes& sizes, const Sizes& strides, int64_t offset,
                 int64_t room);
// Marks the axes that attribute `dim` (none, an int or several) names.
Sizes reduced_axes(const char* op, const Attr& dim, const Sizes& shape);
// Start and stop clamped into [0, size], negative ones counted from the end.
std::pair<int64_t, int64_t> slice_bounds(int64_t size, int64_t start, int64_t stop);

namespace shape_rule {

Sizes broadcast(const OpCall& call, std::initializer_list<int> which);
inline Sizes same(const OpCall& call, int index) { return call.operand(index).sizes(); }
// Of at least `least` axes; `dim` is the attribute that names some of them, or -1.
Sizes same(const OpCall& call, int index, size_t least, int dim);
Sizes given(const OpCall& call, int attr);
Sizes counted(const OpCall& call, int attr, bool square);
Sizes reduced(const OpCall& call, int index, int dim, int keepdim);
Sizes permuted(const OpCall& call, int dims);
Sizes transposed(const OpCall& call, int dim0, int dim1);
Sizes reshaped(const OpCall& call, int shape);
Sizes expanded(const OpCall& call, int size);
Sizes squeezed(const OpCall& call, int dim);
Sizes unsqueezed(const OpCall& call, int dim);
Sizes catted(const OpCall& call, int dim);
Sizes sliced(const OpCall& call, int dim, int start, int stop, int step);
Sizes padded(const OpCall& call, int pad);
Sizes mat_mul(const OpCall& call);
Sizes linear(const OpCall& call);
Sizes index_selected(const OpCall& call, int64_t dim);
Sizes appended(const OpCall& call, int attr, size_t drop);
Sizes leading(const OpCall& call, int index, int drop);
Sizes stacked(const OpCall& call, int index, int64_t count);
Sizes product_batch(const OpCall& call, int first, int mask);
Sizes normalized(const OpCall& call, int index, int normalized_shape,
                 std::initializer_list<int> which);
Sizes loss(const OpCall& call, int reduction);
Sizes class_loss(const OpCall& call, int first, int reduction);
// Throws where operand `index`, called `what`, does not have the shape that is `needed`.
void fits(const OpCall& call, int index, const char* what, const Sizes& needed);
Sizes selected(const OpCall& call, int dim, int index);
// Along attribute `dim` as many as attribute `count` says, which users know as `what`.
Sizes taken(const OpCall& call, const char* what, int count, int dim);
Sizes gathered(const OpCall& call, int dim);
Sizes scattered(const OpCall& call, int dim);

}  // namespace shape_rule
}  // namespace ostinato
