// A run of a followed function: it goes from one region to the next without Python, as long as
// breaks and regions are known.
#pragma once
#include <nanobind/nanobind.h>

#include <chrono>

#include "bindings/followed_regions.hpp"

namespace ostinato::python {

class FollowedRun : public Follower {
 public:
  // `place_of(why)` gives the `BreakTally` of a new break; `run_new(held, given, key)` runs what no
  // region of `regions` can; `before_end`, where there is one, sees every region end.
  FollowedRun(nb::object regions, nb::object place_of, nb::object run_new, nb::object before_end);
  ~FollowedRun() override { tracer_->stop(); }

  // The function begins.
  void begin();
  // Runs what was recorded.
  void end();
  // The function is over.
  void let_go() { tracer_->renew(); }
  bool leave(const std::string& why) override;
  nb::object tracer() const { return owner_; }

  int traverse(visitproc visit, void* arg) const;
  void clear();

 private:
  using Clock = std::chrono::steady_clock;

  void next(const std::string& why);
  void open();
  void note_path();

  nb::object regions_owner_;
  FollowedRegions* regions_;
  nb::object place_of_;
  nb::object run_new_;
  nb::object before_end_;
  nb::object owner_;
  Tracer* tracer_;
  FollowedRegions::Key before_ = {};  // of the region before this one
  Clock::time_point started_;
};

}  // namespace ostinato::python
