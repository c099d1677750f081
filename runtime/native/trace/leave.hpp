// Breaks: a region ends in the middle of its function, where a value is needed or an op cannot be
// captured. What comes after belongs to another region.
#pragma once
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
// over, and the call is to run now.
template <class Record>
bool is_in_region(const Record& record) {
  try {
    record();
    return true;
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::capture || !leave_region(error.what())) throw;
    return false;
  }
}

}  // namespace ostinato
