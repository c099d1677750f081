// Random states as parameters of kernels.
#pragma once
#include "core/tensor.hpp"
#include "cuda/kernels/random.hpp"

namespace ostinato::cuda {

// Sets the state that an int64[2] operand holds. What lies on the device is read by the kernel;
// `kept` keeps its memory until the launch.
void set_state(RandomParams& p, const Tensor& rng, Tensor& kept);
// `count` random lanes, as int32.
Tensor random_lanes(const Tensor& rng, int64_t count, Device device);

}  // namespace ostinato::cuda
