#include "bindings/followed_regions.hpp"

#include <nanobind/stl/string.h>

#include <cstring>

#include "autograd/anomaly.hpp"
#include "bindings/deliver.hpp"

namespace ostinato::python {
namespace {

// A tracer does not stay active where this is left.
class Ending {
 public:
  explicit Ending(Tracer& tracer) : tracer_(&tracer) {}
  Ending(const Ending&) = delete;
  Ending& operator=(const Ending&) = delete;
  ~Ending() {
    if (tracer_) tracer_->stop();
  }
  void put_off() { tracer_ = nullptr; }

 private:
  Tracer* tracer_;
};

nb::list list_of(std::span<const Tensor> tensors) {
  nb::list out;
  for (const Tensor& t : tensors) out.append(nb::steal(wrap(t)));
  return out;
}

}  // namespace

nb::tuple tuple_of(const TraceCut& cut) {
  const nb::bytes key(cut.key.data(), sizeof cut.key);
  return nb::make_tuple(list_of(cut.held), list_of(cut.given), key);
}

void FollowedRegions::add(const nb::bytes& key, nb::object replay) {
  Key words;
  std::memcpy(words.data(), key.c_str(), sizeof words);
  known_[words] = {replay, nb::cast<Replay*>(replay)};
}

std::optional<TraceCut> FollowedRegions::run(Tracer& tracer, Key& key) {
  Ending ending(tracer);
  if (tracer.is_empty()) return std::nullopt;
  TraceCut cut = tracer.cut();
  key = cut.key;
  const nb::list given = list_of(cut.given);
  const auto found = known_.find(cut.key);
  if (found == known_.end() || looks_for_anomaly() || !found->second.replay->are_apart(given)) {
    ending.put_off();
    return cut;
  }
  const Known known = found->second;  // which stays, whatever runs meanwhile
  tracer.stop();
  const std::vector<bool> spared = tracer.spared(cut.held);
  deliver(tracer, cut.held, known.replay->run_for_held(given, spared));
  return std::nullopt;
}

BreakTally& FollowedRegions::tally_at(const CodePlace& place, const std::string& why,
                                      const nb::object& make) {
  for (const Reason& r : breaks_[place]) {
    if (r.why == why) return *r.tally;
  }
  nb::object made = make(why);
  nb::object code = nb::borrow(reinterpret_cast<PyObject*>(place.code));
  auto* const tally = nb::cast<BreakTally*>(made);
  breaks_[place].push_back({why, std::move(code), std::move(made), tally});
  return *tally;
}

int FollowedRegions::traverse(visitproc visit, void* arg) const {
  for (const auto& [key, known] : known_) Py_VISIT(known.owner.ptr());
  for (const auto& [place, reasons] : breaks_) {
    for (const Reason& r : reasons) {
      Py_VISIT(r.code.ptr());
      Py_VISIT(r.owner.ptr());
    }
  }
  return 0;
}

void FollowedRegions::clear() {
  known_.clear();
  paths_.clear();
  breaks_.clear();
}

}  // namespace ostinato::python
