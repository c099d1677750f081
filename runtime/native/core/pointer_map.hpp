// A map from pointers that only grows, until all of it goes: what is put in stays, in order.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace ostinato {

// References to values hold until the next one is put in.
template <class Key, class Value>
class PointerMap {
 public:
  Value* find(const Key* key) {
    const uint32_t at = slots_.empty() ? 0 : slots_[slot_of(key)];
    return at ? &entries_[at - 1].second : nullptr;
  }
  const Value* find(const Key* key) const { return const_cast<PointerMap*>(this)->find(key); }
  bool contains(const Key* key) const { return find(key) != nullptr; }

  // The value of `key`, and whether it is new.
  std::pair<Value&, bool> emplace(const Key* key) {
    if (Value* known = find(key)) return {*known, false};
    if (entries_.size() * 2 >= slots_.size()) grow();
    entries_.emplace_back(key, Value());
    slots_[slot_of(key)] = static_cast<uint32_t>(entries_.size());
    return {entries_.back().second, true};
  }
  Value& operator[](const Key* key) { return emplace(key).first; }

  // Empty again, with the memory that it has.
  void clear() {
    if (entries_.empty()) return;
    entries_.clear();
    std::fill(slots_.begin(), slots_.end(), 0);
  }

  auto begin() const { return entries_.begin(); }
  auto end() const { return entries_.end(); }

 private:
  // That of `key`, or the empty one where it belongs.
  size_t slot_of(const Key* key) const {
    const size_t mask = slots_.size() - 1;
    size_t i = (reinterpret_cast<uintptr_t>(key) >> 4) * 0x9E3779B97F4A7C15 >> 32 & mask;
    while (slots_[i] && entries_[slots_[i] - 1].first != key) i = (i + 1) & mask;
    return i;
  }

  void grow() {
    slots_.assign(slots_.empty() ? 64 : slots_.size() * 2, 0);
    entries_.reserve(slots_.size() / 2);
    for (size_t e = 0; e < entries_.size(); ++e) {
      slots_[slot_of(entries_[e].first)] = static_cast<uint32_t>(e + 1);
    }
  }

  std::vector<std::pair<const Key*, Value>> entries_;
  std::vector<uint32_t> slots_;  // 1 + a place among the entries, 0 for none
};

}  // namespace ostinato
