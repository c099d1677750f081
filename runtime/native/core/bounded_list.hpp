// A list of at most N elements that lie in the list itself and are made when they are added.
#pragma once
#include <cstddef>
#include <memory>
#include <span>
#include <utility>

namespace ostinato {

template <class T, size_t N>
class BoundedList {
 public:
  BoundedList() = default;
  BoundedList(const BoundedList&) = delete;
  BoundedList& operator=(const BoundedList&) = delete;
  ~BoundedList() { std::destroy_n(first(), size_); }

  bool is_full() const { return size_ == N; }
  // The list is not full.
  void push_back(T value) { std::construct_at(first() + size_++, std::move(value)); }
  std::span<T> items() { return {first(), size_}; }

 private:
  T* first() { return reinterpret_cast<T*>(place_); }

  size_t size_ = 0;
  alignas(T) std::byte place_[N * sizeof(T)];
};

}  // namespace ostinato
