// The stream-ordered caching allocator of device memory, and pinned host memory.
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/tensor.hpp"
#include "cuda/stream.hpp"

namespace ostinato::cuda {

struct Block;  // an allocation; its owner gives it back with `free_block`

// At least `bytes` (256-byte aligned) of `device` for use on its current stream. Throws Error
// (runtime) that says what was asked, what is free, reserved and allocated, and who holds most.
Block* allocate_block(int device, size_t bytes);
void* data_of(const Block* block);
// May be called by any thread; the memory is reused in order of the stream it was made for.
void free_block(Block* block);
// Work queued on `stream` now also uses the storage of `t`: it is reused only after that.
void record_stream(const Tensor& t, const Stream& stream);

}  // namespace ostinato::cuda
