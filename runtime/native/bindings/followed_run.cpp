#include "bindings/followed_run.hpp"

#include "bindings/python.hpp"

namespace ostinato::python {

FollowedRun::FollowedRun(nb::object regions, nb::object place_of, nb::object run_new,
                         nb::object before_end)
    : regions_owner_(std::move(regions)),
      regions_(nb::cast<FollowedRegions*>(regions_owner_)),
      place_of_(std::move(place_of)),
      run_new_(std::move(run_new)),
      before_end_(std::move(before_end)),
      owner_(nb::cast(new Tracer(this), nb::rv_policy::take_ownership)),
      tracer_(nb::cast<Tracer*>(owner_)) {}

void FollowedRun::begin() {
  tracer_->renew();
  started_ = Clock::now();
  tracer_->start();
}

void FollowedRun::end() {
  if (!before_end_.is_none()) before_end_();
  if (const auto cut = regions_->run(*tracer_)) {
    const nb::tuple parts = tuple_of(*cut);
    run_new_(parts[0], parts[1], parts[2]);
  }
}

bool FollowedRun::leave(const std::string& why) {
  const nb::gil_scoped_acquire locked;
  try {
    next(why);
  } catch (nb::python_error& error) {
    error.restore();
    throw PythonError{};
  } catch (...) {  // as a Python exception, which is no reason to leave once more
    set_error();
    throw PythonError{};
  }
  return true;
}

void FollowedRun::next(const std::string& why) {
  BreakTally& found = regions_->tally_at(running_place(), why, place_of_);
  ++found.count;
  found.seconds += std::chrono::duration<double>(Clock::now() - started_).count();
  end();
  begin();
}

int FollowedRun::traverse(visitproc visit, void* arg) const {
  for (const nb::object* o : {&regions_owner_, &place_of_, &run_new_, &before_end_, &owner_}) {
    Py_VISIT(o->ptr());
  }
  return 0;
}

void FollowedRun::clear() { place_of_ = run_new_ = before_end_ = nb::none(); }

}  // namespace ostinato::python
