#include "program/step_order.hpp"

#include <algorithm>
#include <map>

namespace ostinato {
namespace {

// For each step the steps that are certain to have ended before it starts.
class Ancestors {
 public:
  explicit Ancestors(int steps)
      : words_((static_cast<size_t>(steps) + 63) / 64),
        bits_(words_ * static_cast<size_t>(steps)) {}

  bool has(int step, int before) const { return row(step)[before / 64] >> (before % 64) & 1; }
  // `before` and all its own ancestors come before `step`.
  void add(int step, int before) {
    uint64_t* to = bits_.data() + words_ * static_cast<size_t>(step);
    const uint64_t* from = row(before);
    for (size_t w = 0; w < words_; ++w) to[w] |= from[w];
    to[before / 64] |= uint64_t{1} << (before % 64);
  }

 private:
  const uint64_t* row(int step) const { return bits_.data() + words_ * static_cast<size_t>(step); }

  size_t words_;
  std::vector<uint64_t> bits_;
};

bool meet(const Access& a, const Access& b) {
  return a.memory == b.memory && a.first < b.last && b.first < a.last && (a.writes || b.writes);
}

// The earlier steps that each step has to wait for. An access that a later write covers is
// forgotten: who meets it meets the write as well.
std::vector<std::vector<int>> predecessors(int steps, std::span<const Access> accesses) {
  std::vector<std::vector<int>> found(steps);
  std::map<int, std::vector<Access>> latest;  // by memory
  for (const Access& now : accesses) {
    std::vector<Access>& before = latest[now.memory];
    for (const Access& b : before) {
      if (b.step != now.step && meet(b, now)) found[now.step].push_back(b.step);
    }
    std::erase_if(before, [&now](const Access& b) {
      return now.writes && b.step != now.step && now.first <= b.first && b.last <= now.last;
    });
    before.push_back(now);
  }
  return found;
}

// The fewest edges from which all of `waits` follow.
std::vector<StepEdge> reduced(int steps, std::vector<std::vector<int>> waits) {
  Ancestors ancestors(steps);
  std::vector<StepEdge> edges;
  for (int s = 0; s < steps; ++s) {
    std::sort(waits[s].begin(), waits[s].end(), std::greater());
    for (int before : waits[s]) {
      if (ancestors.has(s, before)) continue;
      ancestors.add(s, before);
      edges.emplace_back(before, s);
    }
  }
  return edges;
}

// What is known of steps and of the lanes that they were put in.
class Lanes {
 public:
  Lanes(int steps, std::span<const StepEdge> edges, int count)
      : waits_(steps), heirs_(steps, kNone), last_(count, kNone), ancestors_(steps) {
    std::vector<int> heights(steps, 0);
    for (const auto& [before, after] : edges) waits_[after].push_back(before);
    for (int s = steps - 1; s >= 0; --s) {
      for (int before : waits_[s]) {
        if (heights[before] > heights[s]) continue;
        heights[before] = heights[s] + 1;
        heirs_[before] = s;
      }
    }
  }

  // Puts all steps into lanes; returns what each waits for then.
  std::vector<std::vector<int>> fill() && {
    for (int s = 0; s < static_cast<int>(waits_.size()); ++s) {
      for (int before : waits_[s]) ancestors_.add(s, before);
      int& last = *chosen(s);
      if (last != kNone && !ancestors_.has(s, last)) {
        waits_[s].push_back(last);
        ancestors_.add(s, last);
      }
      last = s;
    }
    return std::move(waits_);
  }

 private:
  static constexpr int kNone = -1;

  // The lane that costs step `s` least: best that of a step which it follows as its heir, then one
  // that has no other heir to come, where it waits for the last step anyway, that is empty, or
  // whose last step is the oldest.
  std::vector<int>::iterator chosen(int s) {
    const auto cost = [&](int last) {
      if (last == kNone) return std::pair(2, 0);
      if (heirs_[last] == s) return std::pair(0, -last);
      const bool free = heirs_[last] < s;
      if (!free) return std::pair(4, last);
      return ancestors_.has(s, last) ? std::pair(1, -last) : std::pair(3, last);
    };
    return std::min_element(last_.begin(), last_.end(),
                            [&](int a, int b) { return cost(a) < cost(b); });
  }

  std::vector<std::vector<int>> waits_;
  std::vector<int> heirs_;  // the follower that most steps come after
  std::vector<int> last_;   // of each lane
  Ancestors ancestors_;
};

}  // namespace

std::vector<StepEdge> order_steps(int steps, std::span<const Access> accesses) {
  return reduced(steps, predecessors(steps, accesses));
}

std::vector<StepEdge> in_lanes(int steps, std::span<const StepEdge> edges, int lanes) {
  return reduced(steps, Lanes(steps, edges, lanes).fill());
}

std::vector<StepEdge> unordered_steps(int steps, std::span<const Access> accesses,
                                      std::span<const StepEdge> edges) {
  std::vector<StepEdge> sorted(edges.begin(), edges.end());
  std::sort(sorted.begin(), sorted.end(),
            [](const StepEdge& a, const StepEdge& b) { return a.second < b.second; });
  Ancestors ancestors(steps);
  for (const auto& [before, after] : sorted) ancestors.add(after, before);
  std::vector<StepEdge> found;
  for (size_t j = 0; j < accesses.size(); ++j) {
    for (size_t i = 0; i < j; ++i) {
      const Access &a = accesses[i], &b = accesses[j];
      if (a.step != b.step && meet(a, b) && !ancestors.has(b.step, a.step)) {
        found.emplace_back(a.step, b.step);
      }
    }
  }
  std::sort(found.begin(), found.end());
  found.erase(std::unique(found.begin(), found.end()), found.end());
  return found;
}

}  // namespace ostinato
