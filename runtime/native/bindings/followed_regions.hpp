// What is known of a followed function: its regions, which run without Python, and its breaks.
#pragma once
#include <nanobind/nanobind.h>

#include <array>
#include <optional>
#include <unordered_map>

#include "bindings/python.hpp"
#include "bindings/replay.hpp"
#include "trace/tracer.hpp"

namespace ostinato::python {

// (held by user code, given to the region, key)
nb::tuple tuple_of(const TraceCut& cut);

// How often a function came to a break, and what its Python took to lead there.
struct BreakTally {
  int64_t count = 0;
  double seconds = 0;
};

class FollowedRegions {
 public:
  using Key = std::array<uint64_t, 2>;

  FollowedRegions() = default;
  FollowedRegions(const FollowedRegions&) = delete;
  FollowedRegions& operator=(const FollowedRegions&) = delete;

  // Regions of this key, as `tuple_of` has it, are run by `replay`.
  void add(const nb::bytes& key, nb::object replay);
  // Ends what was recorded and runs it, so that all that user code holds has its value. Where
  // nothing known can run it, that is left to do: what the region was cut to. `key` gets that of
  // the region, if there was anything.
  std::optional<TraceCut> run(Tracer& tracer, Key& key);
  // What was recorded after a region of this key.
  TracePaths& paths_after(const Key& key) { return paths_[key]; }
  // That of the break at `place` for the reason `why`, which `make(why)` gives where it is new.
  BreakTally& tally_at(const CodePlace& place, const std::string& why, const nb::object& make);

  int traverse(visitproc visit, void* arg) const;
  void clear();

 private:
  struct FirstWord {
    size_t operator()(const Key& key) const { return key[0]; }
  };
  struct Known {
    nb::object owner;
    Replay* replay;
  };
  struct Reason {
    std::string why;
    nb::object code;  // which keeps its address
    nb::object owner;
    BreakTally* tally;
  };
  std::unordered_map<Key, Known, FirstWord> known_;
  std::unordered_map<Key, TracePaths, FirstWord> paths_;
  std::unordered_map<CodePlace, std::vector<Reason>, CodePlace::Hash> breaks_;
};

}  // namespace ostinato::python
