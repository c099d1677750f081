// The caching CPU allocator behind Storage and TensorImpl: 64-byte aligned blocks in size classes,
// small ones from lists of each thread, large ones from a shared pool with a cap on what is kept.
#pragma once
#include <bit>
#include <cstddef>
#include <cstdint>

namespace ostinato {

inline constexpr size_t kAlignment = 64;

// Multiples of 64 bytes up to 1 KiB, then four classes for each doubling.
using SizeClass = uint8_t;
inline constexpr int kLinearClasses = 16;
inline constexpr int kSizeClasses = kLinearClasses + 4 * 38;
constexpr SizeClass class_of(size_t bytes) {
  if (bytes <= kAlignment) return 0;
  if (bytes <= 1024) return static_cast<SizeClass>((bytes - 1) / kAlignment);
  const int log = 63 - std::countl_zero(bytes - 1);
  const int quarter = static_cast<int>((bytes - 1) >> (log - 2)) - 4;
  return static_cast<SizeClass>(kLinearClasses + 4 * (log - 10) + quarter);
}
constexpr size_t bytes_of(SizeClass c) {
  if (c < kLinearClasses) return kAlignment * (size_t{c} + 1);
  const int above = c - kLinearClasses;
  return (size_t{256} << (above / 4)) * static_cast<size_t>(above % 4 + 5);
}

// A block of at least bytes_of(c) bytes; `c` becomes its own class where a larger kept block
// serves. Throws Error (runtime) when the machine has no more. Any thread may free it.
void* allocate_block(SizeClass& c);
void free_block(void* block, SizeClass c);

// Bytes of storages in use now, bytes held from the machine (in use and kept), and the most in use
// since the last reset. The peak may miss up to 64 KiB of small storages for each thread.
struct MemoryStats {
  int64_t allocated;
  int64_t reserved;
  int64_t peak;
};
MemoryStats memory_stats();
void reset_peak_memory();
// Gives kept large blocks back to the machine.
void release_cached_memory();
// Storages report the bytes that they come to hold (positive) and let go (negative).
void count_allocated(int64_t bytes);

}  // namespace ostinato
