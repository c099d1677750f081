#include "program/profiler.hpp"

#include <utility>

#include "core/error.hpp"
#include "program/compiled.hpp"

namespace ostinato {
namespace {

std::mutex active_mutex;
std::shared_ptr<Profiler> active_profiler;
std::atomic<uint64_t> next_thread{1};
thread_local const uint64_t thread_number = next_thread++;

}  // namespace

std::atomic<bool> Profiler::on_{false};

std::shared_ptr<Profiler> Profiler::find() {
  const std::lock_guard lock(active_mutex);
  return active_profiler;
}

void Profiler::start() {
  const std::lock_guard lock(active_mutex);
  if (active_profiler) throw Error(ErrorKind::value, "profile: one is on already; end it first");
  active_profiler = shared_from_this();
  on_ = true;
}

void Profiler::stop() {
  const std::lock_guard lock(active_mutex);
  if (active_profiler.get() != this) return;
  active_profiler.reset();
  on_ = false;
}

double Profiler::now() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - made_).count();
}

Profiler::Known& Profiler::known(const CompiledProgram& program) {
  const auto [at, is_new] =
      known_.try_emplace(program.number, Known{static_cast<int>(programs_.size())});
  if (is_new) {
    std::vector<ProfiledStep>& steps = programs_.emplace_back(program.number, 0).second;
    for (const CompiledStep& s : program.steps)
      steps.push_back({s.name, s.location, s.phase, s.kind == StepKind::launch});
  }
  return at->second;
}

bool Profiler::measures(const CompiledProgram& program) {
  const std::lock_guard lock(mutex_);
  const int64_t before = known(program).runs++;
  return program.device.is_cpu() || before % (int64_t{every_} + 1) == 0;
}

void Profiler::add(const CompiledProgram& program, ProfiledRun run) {
  const std::lock_guard lock(mutex_);
  run.program = known(program).number;
  run.thread = thread_number;
  runs_.push_back(std::move(run));
}

std::vector<std::pair<uint64_t, std::vector<ProfiledStep>>> Profiler::programs() const {
  const std::lock_guard lock(mutex_);
  return programs_;
}

std::vector<ProfiledRun> Profiler::runs() const {
  const std::lock_guard lock(mutex_);
  return runs_;
}

}  // namespace ostinato
