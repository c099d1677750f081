// Copies in which a CUDA device takes part.
#pragma once
#include "core/tensor.hpp"

namespace ostinato::cuda {

// As ostinato::copy_into, where one of the two or both lie on a CUDA device: any strides and
// dtypes. Host memory is read or written before the call returns, except with `non_blocking` where
// it is pinned.
void copy_into(const Tensor& to, const Tensor& from, bool non_blocking = false);
// The same by a kernel, for any strides and dtypes: both lie on one device, or `from` is a number
// or a CPU tensor of one element, which goes as a parameter.
void copy_strided(const Tensor& to, const Tensor& from);
// Puts the elements of dense `from` one after the other where those of a view of dense `to` lie;
// where these coincide the last one stays.
void store_in_order(const Tensor& to, const Tensor& from, const Sizes& sizes, const Sizes& strides,
                    int64_t offset);
// Waits for the current stream and reads `bytes` of device memory into pageable memory.
void read_small(int device, const void* from, void* to, size_t bytes);

}  // namespace ostinato::cuda
