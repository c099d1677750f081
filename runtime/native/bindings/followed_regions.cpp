#include "bindings/followed_regions.hpp"

#include <cstring>

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

nb::object FollowedRegions::run(Tracer& tracer) {
  Ending ending(tracer);
  if (tracer.is_empty()) return nb::none();
  const TraceCut cut = tracer.cut();
  const nb::list given = list_of(cut.given);
  const auto found = known_.find(cut.key);
  if (found == known_.end() || !found->second.replay->are_apart(given)) {
    ending.put_off();
    return tuple_of(cut);
  }
  const Known known = found->second;  // which stays, whatever runs meanwhile
  tracer.stop();
  deliver(tracer, cut.held, known.replay->run_for_held(given));
  return nb::none();
}

int FollowedRegions::traverse(visitproc visit, void* arg) const {
  for (const auto& [key, known] : known_) Py_VISIT(known.owner.ptr());
  return 0;
}

}  // namespace ostinato::python
