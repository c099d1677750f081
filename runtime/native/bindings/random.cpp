#include <nanobind/nanobind.h>

#include <mutex>

#include "bindings/python.hpp"
#include "dispatch/op_table.hpp"
#include "ops.hpp"
#include "trace/leave.hpp"
#include "trace/tracer.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace ostinato::python {
namespace {

// Philox state (seed, offset). While a capture runs the state is a tensor, so that a replay goes on
// where the last one ended.
class Generator {
 public:
  Generator(int64_t seed, Device device) : device_(device) { state_ = rng_tensor(seed, 0); }

  void manual_seed(int64_t seed) {
    std::lock_guard lock(mutex_);
    int64_t* s = state_.data<int64_t>();
    s[0] = seed;
    s[1] = 0;
  }
  Device device() const { return device_; }
  int64_t seed() const { return state_.data<int64_t>()[0]; }
  int64_t offset() const { return state_.data<int64_t>()[1]; }
  void set_offset(int64_t offset) {
    std::lock_guard lock(mutex_);
    state_.data<int64_t>()[1] = offset;
  }

  Tensor draw(int64_t count) {
    if (Tracer::active()) return draw_traced(count);
    std::lock_guard lock(mutex_);
    int64_t* s = state_.data<int64_t>();
    Tensor now = rng_state(s[0], s[1]);
    s[1] += (count + 3) / 4;
    return now;
  }

 private:
  static Tensor rng_tensor(int64_t seed, int64_t offset) {
    Tensor t = empty(Sizes{2}, DType::int64_);
    t.data<int64_t>()[0] = seed;
    t.data<int64_t>()[1] = offset;
    return t;
  }

  Tensor draw_traced(int64_t elements) {
    note_call_site({&state_, 1});
    Tensor now = call_op(op_info(op::clone), {&state_, 1});
    Attr count[] = {Attr(elements)};
    Tensor next = call_op(op_info(op::rng_advance), {&now, 1}, count);
    Tensor pair[] = {state_, next};
    call_op_inplace(op_info(op::copy), pair, {});
    return now;
  }

  Device device_;
  Tensor state_;
  std::mutex mutex_;
};

Generator& default_generator() {
  static Generator g(0, kCpu);
  return g;
}

// Before a random state is set or read: draws of a running region come before that.
void need_state(const char* what) {
  if (!Tracer::active()) return;
  const std::string why = std::string(what) + " needs the random state now";
  if (leave_region(why)) return;
  throw Error(ErrorKind::capture, "capture: " + why + "; do that outside the compiled function");
}

}  // namespace

Tensor draw(PyObject* o, int64_t count) {
  if (!o || o == Py_None) return default_generator().draw(count);
  nb::handle h(o);
  if (!nb::isinstance<Generator>(h)) {
    throw Error(ErrorKind::type, std::string("generator is a ") + Py_TYPE(o)->tp_name +
                                     "; give an ostinato.Generator or None");
  }
  return nb::cast<Generator&>(h).draw(count);
}

void bind_random(nb::module_& m) {
  nb::class_<Generator>(m, "Generator", "A Philox4x32-10 random state: a seed and an offset.")
      .def(
          "__init__",
          [](Generator* g, int64_t seed, nb::handle device) {
            new (g) Generator(seed, device_from(device.ptr()));
          },
          "seed"_a = 0, "device"_a = "cpu")
      .def_prop_ro(
          "device", [](const Generator& g) { return nb::borrow(device_object(g.device())); },
          "As given. A generator serves every device, and draws the same bits on each.")
      .def(
          "manual_seed",
          [](nb::object self, int64_t seed) {
            need_state("`manual_seed`");
            nb::cast<Generator&>(self).manual_seed(seed);
            return self;
          },
          "seed"_a, "Start again from `seed`.")
      .def(
          "initial_seed",
          [](const Generator& g) {
            need_state("`initial_seed`");
            return g.seed();
          },
          "The seed in use.")
      .def_prop_rw(
          "offset",
          [](const Generator& g) {
            need_state("`offset`");
            return g.offset();
          },
          [](Generator& g, int64_t offset) {
            need_state("`offset`");
            g.set_offset(offset);
          },
          "How many counters were drawn since the seed was set.");
  m.def(
      "default_generator", []() -> Generator& { return default_generator(); },
      nb::rv_policy::reference, "The generator that random ops use where none is given.");
}

}  // namespace ostinato::python
