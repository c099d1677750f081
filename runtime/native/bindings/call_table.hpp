// Replays of one function by the arguments that they are for: the way of a call that needs no
// Python.
#pragma once
#include "bindings/replay.hpp"
#include "cuda/blas.hpp"
#include "dispatch/autocast.hpp"

namespace ostinato::python {

class CallTable {
 public:
  // `arguments`, of a call that was captured with what the thread has set now, are positional and
  // plain: tensors, numbers, texts and None.
  void add(nb::object replay, nb::tuple arguments, nb::object result);
  void remove(nb::handle replay);
  nb::object call(nb::tuple arguments, nb::dict keywords);

  int traverse(visitproc visit, void* arg) const;
  void clear() { rows_.clear(); }

 private:
  // What ops do depends on.
  struct Settings {
    bool grad;
    Autocast autocast;
    Device device;
    cuda::blas::Precision precision;
    static Settings now();
    bool operator==(const Settings& other) const;
  };
  // An argument of the captured call; of a number the type, else the value.
  struct Argument {
    nb::object value;  // null: a tensor
    DType dtype = DType::float32_;
    Sizes sizes;
    Device device;
    bool requires_grad = false;
    bool leaf = false;
    explicit Argument(nb::handle given);
    bool takes(PyObject* given) const;
  };
  struct Row {
    nb::object owner;
    Replay* replay;
    std::vector<Argument> arguments;
    Settings settings;
    nb::object result;
    bool takes(nb::handle given) const;
  };

  std::vector<Row> rows_;
};

}  // namespace ostinato::python
