// Pinned host memory, from which copies run beside the host: cached, like that of devices.
#pragma once
#include <cstddef>
#include <cstdint>

#include "cuda/memory.hpp"
#include "cuda/stream.hpp"

namespace ostinato::cuda {

struct HostBlock;

// At least `bytes`, 64-byte aligned. Throws Error (device) where there is no driver, Error (memory)
// where the machine refuses.
HostBlock* allocate_pinned(size_t bytes);
void* data_of(const HostBlock* block);
// May be called by any thread; reused when no stream uses it any more.
void free_pinned(HostBlock* block) noexcept;
// Work queued on `stream` reads or writes the block.
void use_pinned_on(HostBlock* block, const Stream& stream);
// Gives what nobody uses back to the machine, after waiting for streams.
void release_pinned_cache();

struct PinnedStatistics {
  Counter allocated;  // bytes of blocks in use
  Counter reserved;   // bytes had from the driver
};
PinnedStatistics pinned_statistics();

}  // namespace ostinato::cuda
