// What Programs take while someone looks: the time of each step, run by run.
#pragma once
#include <atomic>
#include <chrono>
#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

namespace ostinato {

class CompiledProgram;

// A step of a Program, as long as the record of it lives.
struct ProfiledStep {
  std::string name;
  std::string location;
  std::string phase;
  bool kernel;
};

// In the place of the seconds of a step that a run left out.
constexpr double kNotRun = std::numeric_limits<double>::quiet_NaN();

// One run: when it began, in seconds since the profiler was made, and what each step took. Runs
// that were not measured step by step have no seconds of these.
struct ProfiledRun {
  int program = 0;
  uint64_t thread = 0;
  double started = 0;
  double taken = 0;  // of the host
  std::vector<double> seconds;
};

// Takes what the Programs of all threads do between `start` and `stop`. Programs for a CUDA device
// run step by step, which costs time, at their first run and at each one after `every` others.
class Profiler : public std::enable_shared_from_this<Profiler> {
 public:
  explicit Profiler(int every) : every_(every) {}

  void start();
  void stop();
  // The one that is on; null, at the cost of a load, where none is.
  static std::shared_ptr<Profiler> active() {
    return on_.load(std::memory_order_relaxed) ? find() : nullptr;
  }

  double now() const;
  // Whether this run of `program` is one that steps are measured of.
  bool measures(const CompiledProgram& program);
  void add(const CompiledProgram& program, ProfiledRun run);

  // The Programs that ran: their numbers, and the steps of each.
  std::vector<std::pair<uint64_t, std::vector<ProfiledStep>>> programs() const;
  std::vector<ProfiledRun> runs() const;

 private:
  struct Known {
    int number;
    int64_t runs = 0;
  };

  static std::shared_ptr<Profiler> find();
  Known& known(const CompiledProgram& program);

  static std::atomic<bool> on_;

  const int every_;
  const std::chrono::steady_clock::time_point made_ = std::chrono::steady_clock::now();
  mutable std::mutex mutex_;
  std::unordered_map<uint64_t, Known> known_;  // by the number of a Program
  std::vector<std::pair<uint64_t, std::vector<ProfiledStep>>> programs_;
  std::vector<ProfiledRun> runs_;
};

}  // namespace ostinato
