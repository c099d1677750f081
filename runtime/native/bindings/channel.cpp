#include "bindings/channel.hpp"

#include <nanobind/stl/vector.h>

#include <algorithm>
#include <atomic>
#include <tuple>

#include "bindings/casters.hpp"

using namespace nanobind::literals;

namespace ostinato::python {
namespace {

std::atomic<int64_t> calls{0};
std::atomic<bool> on{true};

nb::list entries_of(const Channel& c) {
  nb::list out;
  for (const Channel::Entry& e : c.entries()) {
    nb::list parts;
    for (const nb::object& part : e.parts) parts.append(part);
    out.append(nb::make_tuple(e.step, e.index, parts));
  }
  return out;
}

}  // namespace

int64_t Channel::next_call() { return calls.fetch_add(1, std::memory_order_relaxed); }
bool Channel::is_on() { return on.load(std::memory_order_relaxed); }
void Channel::set_on(bool value) { on.store(value, std::memory_order_relaxed); }

Channel::Turn Channel::take_turn(int64_t call, int64_t every) {
  if (call != call_) {
    call_ = call;
    ++steps_;
    index_ = 0;
  }
  const int64_t step = steps_ - 1;
  const bool keeps = is_on() && every > 0 && step % every == 0 && keep_ > 0;
  return {step, index_++, keeps};
}

// Objects of Python, since a region that is followed knows by these what it has to make. Of two
// threads the one that came later may be here first.
void Channel::keep(const Turn& turn, std::span<const Tensor> parts) {
  if (entries_.size() == keep_) entries_.pop_front();
  const auto comes_before = [](const Turn& t, const Entry& e) {
    return std::tie(t.step, t.index) < std::tie(e.step, e.index);
  };
  const auto at = std::upper_bound(entries_.begin(), entries_.end(), turn, comes_before);
  Entry& entry = *entries_.insert(at, Entry{turn.step, turn.index, {}});
  for (const Tensor& part : parts) entry.parts.push_back(nb::cast(part));
}

void Channel::clear() {
  entries_.clear();
  steps_ = 0;
  call_ = -1;
}

void bind_channel(nb::module_& m) {
  nb::class_<Channel>(m, "Channel", "What `watch` recorded at one place.")
      .def(nb::init<size_t>(), "keep"_a)
      .def(
          "add",
          [](Channel& c, int64_t call, int64_t every, const std::vector<Tensor>& parts) {
            const Channel::Turn turn = c.take_turn(call, every);
            if (turn.keeps) c.keep(turn, parts);
            return turn.keeps;
          },
          "call"_a, "every"_a, "parts"_a,
          "Counts a value of a call, and keeps those of every `every`th call, none for 0; whether "
          "it kept this one.")
      .def("entries", &entries_of, "(call, index of the value in it, tensors) of those kept.")
      .def("clear", &Channel::clear, "Starts anew.")
      .def_prop_ro("steps", &Channel::steps, "The calls so far.");
  m.def("next_call", &Channel::next_call, "A number that no other call has.");
  m.def("watching", &Channel::is_on, "Whether channels keep anything, in all threads.");
  m.def("set_watching", &Channel::set_on, "on"_a);
}

}  // namespace ostinato::python
