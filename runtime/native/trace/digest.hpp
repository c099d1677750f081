// A number by which what was done is known again.
#pragma once
#include <array>
#include <bit>
#include <functional>
#include <string>
#include <variant>

#include "dispatch/op_call.hpp"

namespace ostinato {

// 128 bits of whatever is added, in order: two lanes of multiplications and rotations.
class Digest {
 public:
  void add(uint64_t word) {
    low_ = std::rotl((low_ ^ word) * 0x9E3779B97F4A7C15, 29) + high_;
    high_ = std::rotl((high_ + word) * 0xC2B2AE3D27D4EB4F, 31) ^ low_;
  }
  // Two a word; how many there are is the caller's to add.
  void add(std::span<const int> numbers) {
    for (size_t i = 0; i < numbers.size(); i += 2) {
      const uint64_t next = i + 1 < numbers.size() ? static_cast<uint32_t>(numbers[i + 1]) : 0;
      add(static_cast<uint32_t>(numbers[i]) | next << 32);
    }
  }
  void add(const Sizes& sizes) {
    add(static_cast<uint64_t>(sizes.ssize()));
    for (int64_t n : sizes) add(static_cast<uint64_t>(n));
  }
  void add(const TensorMeta& meta) {
    const uint64_t device =
        meta.device.is_cuda() ? 2 + static_cast<uint64_t>(meta.device.index) : 1;
    add(static_cast<uint64_t>(meta.dtype) | device << 8);
    add(meta.sizes);
  }
  void add(const Attr& attr) {
    add(attr.value().index());
    std::visit([this](const auto& v) { add_value(v); }, attr.value());
  }
  std::array<uint64_t, 2> value() const { return {low_, high_}; }
  bool operator==(const Digest&) const = default;

 private:
  void add_value(std::monostate) {}
  void add_value(bool v) { add(static_cast<uint64_t>(v)); }
  void add_value(int64_t v) { add(static_cast<uint64_t>(v)); }
  void add_value(double v) { add(std::bit_cast<uint64_t>(v)); }
  void add_value(DType v) { add(static_cast<uint64_t>(v)); }
  void add_value(const std::string& v) { add(std::hash<std::string>()(v)); }
  void add_value(const Sizes& v) { add(v); }

  uint64_t low_ = 0x243F6A8885A308D3, high_ = 0x13198A2E03707344;
};

}  // namespace ostinato
