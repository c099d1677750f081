#include "cuda/memory.hpp"

#include "cuda/context.hpp"
#include "cuda/driver.hpp"

namespace ostinato::cuda {

struct Block {
  CUdeviceptr data = 0;
  size_t bytes = 0;
  int device = 0;
};

Block* allocate_block(int device, size_t bytes) {
  use_device(device);
  Block made{0, std::max<size_t>(bytes, 1), device};
  OSTINATO_CUDA(cuMemAlloc, &made.data, made.bytes);
  return new Block(made);
}

void* data_of(const Block* block) { return reinterpret_cast<void*>(block->data); }

void free_block(Block* block) {
  use_device(block->device);
  OSTINATO_CUDA(cuMemFree, block->data);  // waits for all work of the device
  delete block;
}

void record_stream(const Tensor&, const Stream&) {}

}  // namespace ostinato::cuda
