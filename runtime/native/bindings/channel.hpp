// What `ot.watch` recorded at one place of a function: its newest values, by call.
#pragma once
#include <nanobind/nanobind.h>

#include <deque>
#include <span>
#include <vector>

#include "core/tensor.hpp"

namespace ostinato::python {

namespace nb = nanobind;

class Channel {
 public:
  // Tensors that say what the value was, which are read when somebody asks: a GPU may still be
  // computing them.
  struct Entry {
    int64_t step;   // the call, from 0
    int64_t index;  // among the values of this call
    std::vector<nb::object> parts;
  };

  // Which value it is that comes next, and whether it is kept.
  struct Turn {
    int64_t step;
    int64_t index;
    bool keeps;
  };

  explicit Channel(size_t keep) : keep_(keep) {}

  // A number that no other call has.
  static int64_t next_call();
  // Whether anything is recorded, in all threads.
  static bool is_on();
  static void set_on(bool on);

  // Counts a value of `call`. Those of every `every`th call are kept, none for 0.
  Turn take_turn(int64_t call, int64_t every);
  // The value of a turn that keeps.
  void keep(const Turn& turn, std::span<const Tensor> parts);
  const std::deque<Entry>& entries() const { return entries_; }
  int64_t steps() const { return steps_; }
  // Starts anew.
  void clear();

 private:
  size_t keep_;
  int64_t call_ = -1;  // the last one
  int64_t steps_ = 0;  // calls so far
  int64_t index_ = 0;  // of the last value in its call
  std::deque<Entry> entries_;
};

}  // namespace ostinato::python
