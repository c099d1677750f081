// What the structural key of a call holds of a tensor.
#pragma once
#include <cstdint>

#include "core/tensor.hpp"

namespace ostinato {

// Dtype, rank, which axes have size 1, and whether it is a number; nothing for an absent operand.
class Pattern {
 public:
  Pattern() = default;
  explicit Pattern(const Tensor& t) {
    if (t) *this = Pattern(t.sizes(), t.dtype(), t->wrapped);
  }
  Pattern(const Sizes& sizes, DType dtype, bool number = false)
      : bits_(static_cast<uint64_t>(dtype) | kPresent | static_cast<uint64_t>(number) << 9 |
              static_cast<uint64_t>(sizes.size()) << 16) {
    for (size_t i = 0; i < sizes.size(); ++i) {
      bits_ |= static_cast<uint64_t>(sizes[i] == 1) << (32 + i);
    }
  }

  bool present() const { return bits_ & kPresent; }
  bool is_number() const { return bits_ >> 9 & 1; }
  DType dtype() const { return static_cast<DType>(bits_ & 0xff); }
  int ndim() const { return static_cast<int>(bits_ >> 16 & 0xffff); }
  // Bit i: axis i has size 1.
  uint32_t ones() const { return static_cast<uint32_t>(bits_ >> 32); }
  uint64_t bits() const { return bits_; }
  bool operator==(const Pattern&) const = default;

 private:
  static constexpr uint64_t kPresent = 1 << 8;
  uint64_t bits_ = 0;
};

}  // namespace ostinato
