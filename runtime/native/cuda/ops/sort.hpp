// Sorting on a device.
#pragma once
#include "core/tensor.hpp"

namespace ostinato::cuda {

// Keys in rising order, and the place that each had; equal keys keep their order.
struct Sorted {
  Tensor keys;     // uint32, as int32
  Tensor numbers;  // uint32, as int32
};

// `keys` are dense int32, read as uint32, below 2^bits. They are overwritten.
Sorted sort(const Tensor& keys, int bits);

}  // namespace ostinato::cuda
