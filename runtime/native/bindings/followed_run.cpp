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
  before_ = {};
  open();
}

void FollowedRun::open() {
  tracer_->renew();
  tracer_->expect(&regions_->paths_after(before_));
  started_ = Clock::now();
  tracer_->start();
}

void FollowedRun::end() {
  if (!before_end_.is_none()) before_end_();
  FollowedRegions::Key key = before_;
  if (const auto cut = regions_->run(*tracer_, key)) {
    const nb::tuple parts = tuple_of(*cut);
    run_new_(parts[0], parts[1], parts[2]);
  }
  note_path();
  before_ = key;
}

// So that what was recorded is expected there the next time.
void FollowedRun::note_path() {
  TracePaths& paths = regions_->paths_after(before_);
  if (paths.is_full() || tracer_->was_expected()) return;
  if (auto path = tracer_->take_path()) paths.add(std::move(path));
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
  open();
}

int FollowedRun::traverse(visitproc visit, void* arg) const {
  for (const nb::object* o : {&regions_owner_, &place_of_, &run_new_, &before_end_, &owner_}) {
    Py_VISIT(o->ptr());
  }
  return 0;
}

void FollowedRun::clear() { place_of_ = run_new_ = before_end_ = nb::none(); }

}  // namespace ostinato::python
