#include <algorithm>
#include <cstdio>
#include <map>

#include "cuda/allocator.hpp"
#include "cuda/context.hpp"

namespace ostinato::cuda {
namespace {

constexpr size_t kShown = 5;

struct Share {
  size_t bytes = 0;
  size_t blocks = 0;
};

std::string in_units(size_t bytes) {
  static constexpr const char* units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
  if (bytes < 1024) return std::to_string(bytes) + " bytes";
  double amount = static_cast<double>(bytes);
  int unit = 0;
  for (; amount >= 1024 && unit < 4; ++unit) amount /= 1024;
  char text[32];
  std::snprintf(text, sizeof text, "%.2f %s", amount, units[unit]);
  return text;
}

std::vector<std::pair<std::string, Share>> largest(const std::vector<SegmentInfo>& segments) {
  std::map<std::string, Share> shares;
  for (const SegmentInfo& s : segments) {
    for (const BlockInfo& b : s.blocks) {
      if (b.state[0] == 'f' || b.holder.empty()) continue;
      Share& share = shares[b.holder];
      share.bytes += b.bytes;
      ++share.blocks;
    }
  }
  std::vector<std::pair<std::string, Share>> sorted(shares.begin(), shares.end());
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto& a, const auto& b) { return a.second.bytes > b.second.bytes; });
  if (sorted.size() > kShown) sorted.resize(kShown);
  return sorted;
}

bool has_unknown(const std::vector<SegmentInfo>& segments) {
  const auto is_unknown = [](const BlockInfo& b) { return b.state[0] != 'f' && b.holder.empty(); };
  return std::ranges::any_of(
      segments, [&](const SegmentInfo& s) { return std::ranges::any_of(s.blocks, is_unknown); });
}

std::string holders_text(const std::vector<SegmentInfo>& segments) {
  static const std::string hint = "OSTINATO_MEMORY_HISTORY=1 says which lines hold ";
  std::string text;
  for (const auto& [line, share] : largest(segments)) {
    text += (text.empty() ? "; the largest holders: " : ", ") + line + " " + in_units(share.bytes) +
            " in " + std::to_string(share.blocks) + (share.blocks == 1 ? " tensor" : " tensors");
  }
  if (text.empty()) return "; " + hint + "it";
  return has_unknown(segments) ? text + "; " + hint + "the rest" : text;
}

}  // namespace

std::string out_of_memory_text(int device, size_t bytes, size_t limit, const MemoryStatistics& now,
                               const std::vector<SegmentInfo>& segments) {
  size_t free = 0, total = 0;
  OSTINATO_CUDA(cuMemGetInfo, &free, &total);
  const auto of = [](const Counter& c) { return in_units(static_cast<size_t>(c.current)); };
  std::string text = "out of memory on " + show(cuda_device(device)) + " (" +
                     properties(device).name + "): " + in_units(bytes) + " asked, " +
                     in_units(free) + " of " + in_units(total) + " free; this process has " +
                     of(now.reserved) + " reserved and " + of(now.allocated) + " of it in tensors";
  if (limit < total) text += ", and may reserve " + in_units(limit);
  return text + holders_text(segments) +
         "; free tensors, or use smaller batches or a narrower dtype";
}

}  // namespace ostinato::cuda
