#include "trace/leave.hpp"

namespace ostinato {
namespace {

LeaveFn leave = nullptr;

}  // namespace

void set_leave_function(LeaveFn fn) { leave = fn; }

bool leave_region(const std::string& why) {
  const Tracer* running = Tracer::active();
  if (running && running->follower()) return running->follower()->leave(why);
  return leave && leave(why);
}

}  // namespace ostinato
