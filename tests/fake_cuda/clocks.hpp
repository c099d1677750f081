// What happened before what: vector clocks over streams and the host.
#pragma once
#include <cstdint>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace fake {

// How many operations of each stream are known to be over.
using Clock = std::map<int, int64_t>;

inline void join(Clock& into, const Clock& other) {
  for (const auto& [stream, count] : other) into[stream] = std::max(into[stream], count);
}

inline bool is_within(const Clock& a, const Clock& b) {
  for (const auto& [stream, count] : a) {
    const auto it = b.find(stream);
    if (count > 0 && (it == b.end() || it->second < count)) return false;
  }
  return true;
}

// Finds accesses to the same bytes, one of them a write, that nothing orders.
class Timeline {
 public:
  // A new operation on `stream`; it runs after all that the host knows to be over.
  void begin(int stream) {
    Clock& clock = streams_[stream];
    join(clock, host_);
    ++clock[stream];
    if (!busy_) join(done_, clock);
  }

  void access(int stream, uint64_t address, uint64_t bytes, bool write) {
    const Clock& now = streams_[stream];
    std::erase_if(accesses_, [this](const Access& a) {
      const auto it = host_.find(a.stream);
      return it != host_.end() && it->second >= a.tick;
    });
    for (const Access& a : accesses_) {
      const bool apart = a.address + a.bytes <= address || address + bytes <= a.address;
      if (apart || (!write && !a.write)) continue;
      const auto it = now.find(a.stream);
      if (it != now.end() && it->second >= a.tick) continue;
      std::ostringstream text;
      text << "streams " << a.stream << " and " << stream << " meet at " << bytes << " bytes";
      races_.insert(text.str());
    }
    accesses_.push_back({stream, now.at(stream), address, bytes, write});
  }

  Clock of(int stream) { return streams_[stream]; }
  void wait(int stream, const Clock& event) { join(streams_[stream], event); }
  bool is_done(const Clock& clock) const { return is_within(clock, done_); }
  // The host waits until `clock` is reached, or finds that it is.
  void learn(const Clock& clock) {
    join(done_, clock);
    join(host_, clock);
  }
  void learn_all() {
    for (const auto& [stream, clock] : streams_) learn(clock);
  }

  // While busy, nothing is over before somebody waits for it.
  void set_busy(bool busy) {
    busy_ = busy;
    if (busy) return;
    for (const auto& [stream, clock] : streams_) join(done_, clock);
  }
  const std::set<std::string>& races() const { return races_; }
  void forget() {
    races_.clear();
    accesses_.clear();
  }

 private:
  struct Access {
    int stream;
    int64_t tick;
    uint64_t address;
    uint64_t bytes;
    bool write;
  };

  std::map<int, Clock> streams_;
  Clock host_;
  Clock done_;
  bool busy_ = false;
  std::vector<Access> accesses_;
  std::set<std::string> races_;
};

}  // namespace fake
