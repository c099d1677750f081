// Indices out of range that kernels have met: raised when the host next waits for the device.
#pragma once
#include "cuda/kernels/failure.hpp"

namespace ostinato::cuda {

// Where kernels of `device` report.
Failure* failure_of(int device);
// Throws Error (index or value) with the text that the CPU gives if a kernel whose work is done has
// reported, and forgets it.
void check_failure(int device);

}  // namespace ostinato::cuda
