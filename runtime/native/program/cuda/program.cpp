#include "program/cuda/program.hpp"

#include <cstdlib>
#include <string_view>

#include "cuda/context.hpp"

namespace ostinato {
namespace {

// Steps run one by one, each waited for, so that an error names its step.
bool is_stepwise() {
  static const bool asked = [] {
    const char* given = std::getenv("OSTINATO_GRAPH");
    return given && std::string_view(given) == "0";
  }();
  return asked;
}

}  // namespace

CudaProgram::CudaProgram(const CompiledProgram& program, Memory& memory, const SparedSteps& spared,
                         Workspace& workspace, ProgramCounters& counters)
    : program_(program),
      memory_(memory),
      spared_(spared),
      workspace_(workspace),
      counters_(counters),
      steps_(program, memory) {}

// The last run may not be over, and comes after all others.
CudaProgram::~CudaProgram() {
  if (graph_ && last_) graph_->record_stream(*last_);
}

void CudaProgram::run(double* seconds) {
  cuda::use_device(program_.device.index);
  follow_last_run();
  steps_.run_host();
  if (seconds || is_stepwise()) return run_steps(seconds);
  if (!graph_) graph_.emplace(program_, memory_, steps_, counters_);
  graph_->replay(spared_);
}

// Runs of all Programs of a workspace share an arena, so that one on another stream waits for the
// last.
void CudaProgram::follow_last_run() {
  const int device = program_.device.index;
  const CUstream now = cuda::current_handle(device);
  const auto is_now = [&](const Ref<cuda::Stream>& s) { return s && s->handle() == now; };
  if (!is_now(workspace_.last)) {
    if (workspace_.last) {
      cuda::Event ended(device, false);
      ended.record(*workspace_.last);
      ended.wait(*cuda::current_stream(device));
    }
    workspace_.last = cuda::current_stream(device);
  }
  if (is_now(last_)) return;
  last_ = workspace_.last;
  memory_.record_stream(*last_);
}

void CudaProgram::run_steps(double* seconds) {
  const int device = program_.device.index;
  const Ref<cuda::Stream> stream = cuda::current_stream(device);
  cuda::Event before(device, true), after(device, true);
  for (size_t s = 0; s < program_.steps.size(); ++s) {
    if (spared_.has_step(s)) continue;
    try {
      before.record(*stream);
      steps_.run(s);
      after.record(*stream);
      after.synchronize();
    } catch (const Error& error) {
      throw Error(error.kind(), std::string(error.what()) + ", in " + steps_.described(s));
    }
    if (seconds) seconds[s] = before.elapsed(after) * 1e-3;
  }
}

}  // namespace ostinato
