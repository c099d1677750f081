// The time of the stand-in's events: what work says that it takes, so that tests know who is
// faster.
#pragma once

inline thread_local double milliseconds_worked = 0;
