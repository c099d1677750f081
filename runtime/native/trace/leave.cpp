#include "trace/leave.hpp"

#include <utility>

namespace ostinato {
namespace {

LeaveFn leave = nullptr;

// One word, so that the static model is safe in a library that is opened at run time.
__attribute__((tls_model("initial-exec"))) thread_local InUse* innermost = nullptr;

}  // namespace

InUse::InUse(std::span<const Tensor> tensors)
    : tensors_(tensors), outer_(std::exchange(innermost, this)) {}

InUse::~InUse() { innermost = outer_; }

bool InUse::has(const Tensor& t) {
  for (const InUse* some = innermost; some; some = some->outer_) {
    for (const Tensor& one : some->tensors_) {
      if (one.same(t)) return true;
    }
  }
  return false;
}

void set_leave_function(LeaveFn fn) { leave = fn; }

bool leave_region(const std::string& why) {
  const Tracer* running = Tracer::active();
  if (running && running->follower()) return running->follower()->leave(why);
  return leave && leave(why);
}

}  // namespace ostinato
