// Breaks: a region ends in the middle of its function, where a value is needed or an op cannot be
// captured. What comes after belongs to another region.
#pragma once
#include <span>
#include <string>

#include "core/error.hpp"
#include "trace/tracer.hpp"

namespace ostinato {

// Ends the running region and runs it, so that every tensor that user code holds has its value;
// `why` is what asks for that. False where regions cannot be left. What follows a function does it
// itself; all other captures are left by a function of the bindings.
using LeaveFn = bool (*)(const std::string& why);
void set_leave_function(LeaveFn fn);
bool leave_region(const std::string& why);

// While one is there, a region that ends hands these tensors their values, as it does to those that
// user code holds: a call goes on with them.
class InUse {
 public:
  explicit InUse(std::span<const Tensor> tensors);
  ~InUse();
  InUse(const InUse&) = delete;
  InUse& operator=(const InUse&) = delete;
  static bool has(const Tensor& t);

 private:
  std::span<const Tensor> tensors_;
  InUse* outer_;
};

// While one is there, calls of this thread run at once, whatever captures are going on.
class Pause {
 public:
  Pause() : before_(Tracer::exchange_active(nullptr)) {}
  ~Pause() { Tracer::exchange_active(before_); }
  Pause(const Pause&) = delete;
  Pause& operator=(const Pause&) = delete;

 private:
  Tracer* before_;
};

// Whether `record` could put a call into the running region. Where it could not, the region is
// over, and the call is to run now, with `operands`.
template <class Record>
bool is_in_region(std::span<const Tensor> operands, const Record& record) {
  try {
    record();
    return true;
  } catch (const Error& error) {
    const InUse held(operands);
    if (error.kind() != ErrorKind::capture || !leave_region(error.what())) throw;
    return false;
  }
}

}  // namespace ostinato
