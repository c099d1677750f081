// The regions of a followed function: one that is known runs without Python.
#pragma once
#include <nanobind/nanobind.h>

#include <array>
#include <unordered_map>

#include "bindings/replay.hpp"
#include "trace/tracer.hpp"

namespace ostinato::python {

// (held by user code, given to the region, key)
nb::tuple tuple_of(const TraceCut& cut);

class FollowedRegions {
 public:
  // Regions of this key, as `tuple_of` has it, are run by `replay`.
  void add(const nb::bytes& key, nb::object replay);
  // Ends what was recorded and runs it, so that all that user code holds has its value; None. Where
  // nothing known can run it, that is left to do: what the region was cut to.
  nb::object run(Tracer& tracer);

  int traverse(visitproc visit, void* arg) const;
  void clear() { known_.clear(); }

 private:
  using Key = std::array<uint64_t, 2>;
  struct FirstWord {
    size_t operator()(const Key& key) const { return key[0]; }
  };
  struct Known {
    nb::object owner;
    Replay* replay;
  };
  std::unordered_map<Key, Known, FirstWord> known_;
};

}  // namespace ostinato::python
