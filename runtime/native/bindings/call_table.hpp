// What calls of one function do, by their arguments: the way of a call that needs no Python to find
// it.
#pragma once
#include "bindings/argument.hpp"
#include "bindings/replay.hpp"
#include "cuda/blas.hpp"
#include "dispatch/autocast.hpp"

namespace ostinato::python {

class CallTable {
 public:
  // Calls that are alike to one with these arguments, under what the thread has set now, are
  // replays, whose results `result` makes of a flat list, none where it is the one element. Where
  // the `leaves` of the arguments are others than `add_leaves` finds, nothing is added.
  void add(nb::object replay, nb::tuple arguments, nb::dict keywords, nb::list leaves,
           nb::object result);
  // They call `run(arguments, keywords)`.
  void add_call(nb::object run, nb::tuple arguments, nb::dict keywords, nb::list leaves);
  // Calls are not that replay any more.
  void remove(nb::handle replay);
  nb::object call(nb::tuple arguments, nb::dict keywords);

  int traverse(visitproc visit, void* arg) const;
  void clear() { rows_.clear(); }

 private:
  // What ops do depends on.
  struct Settings {
    bool grad;
    Autocast autocast;
    Device device;    // of tensors made from none
    int cuda_device;  // that "cuda" means
    cuda::blas::Precision precision;
    static Settings now();
    bool operator==(const Settings& other) const;
  };
  struct Row {
    nb::object owner;
    Replay* replay;  // null: `owner` is called
    Argument arguments;
    Argument keywords;
    Settings settings;
    nb::object result;
  };

  std::vector<Row> rows_;
};

}  // namespace ostinato::python
