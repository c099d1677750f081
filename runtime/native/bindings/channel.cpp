#include "bindings/channel.hpp"

#include <nanobind/stl/vector.h>

#include <atomic>

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

// Objects of Python, since a region that is followed knows by these what it has to make.
void Channel::add(int64_t call, int64_t every, std::span<const Tensor> parts) {
  if (call != call_) {
    call_ = call;
    ++steps_;
    index_ = 0;
  }
  const int64_t step = steps_ - 1, index = index_++;
  if (!is_on() || every <= 0 || step % every != 0 || keep_ == 0) return;
  if (entries_.size() == keep_) entries_.pop_front();
  Entry& entry = entries_.emplace_back(Entry{step, index, {}});
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
            c.add(call, every, parts);
          },
          "call"_a, "every"_a, "parts"_a,
          "Counts a value of a call; those of every `every`th call are kept, none for 0.")
      .def("entries", &entries_of, "(call, index of the value in it, tensors) of those kept.")
      .def("clear", &Channel::clear, "Starts anew.")
      .def_prop_ro("steps", &Channel::steps, "The calls so far.");
  m.def("next_call", &Channel::next_call, "A number that no other call has.");
  m.def("watching", &Channel::is_on, "Whether channels keep anything, in all threads.");
  m.def("set_watching", &Channel::set_on, "on"_a);
}

}  // namespace ostinato::python
