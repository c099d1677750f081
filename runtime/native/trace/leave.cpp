#include "trace/leave.hpp"

namespace ostinato {
namespace {

LeaveFn leave = nullptr;

}  // namespace

void set_leave_function(LeaveFn fn) { leave = fn; }

bool leave_region(const std::string& why) { return leave && leave(why); }

}  // namespace ostinato
