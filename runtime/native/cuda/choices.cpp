#include "cuda/choices.hpp"

#include <algorithm>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

namespace ostinato::cuda::blas {
namespace {

constexpr int kLaunches = 4;  // between two events, whose own time would count too much
constexpr int kRounds = 3;
// A proposal that is slower than the best by more than this after one round is not tried again.
constexpr double kHopeless = 1.25;
// What another than the first must take at most, in proportion, so that noise decides little.
constexpr double kWorthwhile = 0.98;

thread_local bool active = false;
thread_local ChoiceKeeper* asked = nullptr;

std::mutex mutex;
std::unordered_map<std::string, Choice>& choices() {
  static auto& made = *new std::unordered_map<std::string, Choice>;
  return made;
}

std::string name_on(int device, const std::string& product) {
  return std::to_string(device) + ' ' + product;
}

// A proposal while it is measured.
struct Trial {
  const lt::Heuristic* proposal = nullptr;
  double best = 0;
};

// Seconds of one launch: all trials are queued before the first is waited for.
void run_round(std::vector<Trial>& trials, const Attempt& attempt,
               const std::function<void()>& flush, const Stream& stream) {
  std::vector<std::unique_ptr<Event>> events;
  for (const Trial& t : trials) {
    const auto mark = [&] {
      events.push_back(std::make_unique<Event>(stream.device(), true));
      events.back()->record(stream);
    };
    flush();
    mark();
    for (int i = 0; i < kLaunches; ++i) attempt(*t.proposal);
    mark();
  }
  if (!events.empty()) events.back()->synchronize();
  for (size_t i = 0; i < trials.size(); ++i) {
    const double took = events[2 * i]->elapsed(*events[2 * i + 1]) * 1e-3 / kLaunches;
    trials[i].best = trials[i].best > 0 ? std::min(trials[i].best, took) : took;
  }
}

}  // namespace

ChoiceScope::ChoiceScope(ChoiceKeeper* keeper)
    : was_active_(std::exchange(active, true)), before_(std::exchange(asked, keeper)) {}

ChoiceScope::~ChoiceScope() {
  active = was_active_;
  asked = before_;
}

bool ChoiceScope::is_active() { return active; }
ChoiceKeeper* ChoiceScope::keeper() { return asked; }

bool find_choice(int device, const std::string& product, Choice& found) {
  const std::lock_guard lock(mutex);
  const auto at = choices().find(name_on(device, product));
  if (at == choices().end()) return false;
  found = at->second;
  return true;
}

void set_choice(int device, const std::string& product, const Choice& made) {
  const std::lock_guard lock(mutex);
  choices()[name_on(device, product)] = made;
}

std::optional<Choice> fastest(std::span<const lt::Heuristic> proposals, const Attempt& attempt,
                              const std::function<void()>& flush, const Stream& stream) {
  std::vector<Trial> trials;
  for (const lt::Heuristic& p : proposals) {  // the first attempt also loads the kernel
    if (p.status == 0 && attempt(p) == 0) trials.push_back({&p});
  }
  if (trials.empty()) return std::nullopt;
  const auto by_time = [](const Trial& a, const Trial& b) { return a.best < b.best; };
  Trial first;
  for (int round = 0; round < kRounds; ++round) {
    run_round(trials, attempt, flush, stream);
    if (round == 0 || trials.front().proposal == first.proposal) first = trials.front();
    const double best = std::ranges::min_element(trials, by_time)->best;
    std::erase_if(trials, [&](const Trial& t) { return t.best > kHopeless * best; });
  }
  Trial won = *std::ranges::min_element(trials, by_time);
  if (won.best > kWorthwhile * first.best) won = first;
  return Choice{won.proposal->algorithm, won.proposal->workspace, won.best, first.best};
}

}  // namespace ostinato::cuda::blas
