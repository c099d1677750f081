// A compiled Program on a CUDA device: the host's part, then one graph.
#pragma once
#include <optional>

#include "program/cuda/graph.hpp"

namespace ostinato {

class CudaProgram {
 public:
  CudaProgram(const CompiledProgram& program, Memory& memory, const SparedSteps& spared,
              Workspace& workspace, ProgramCounters& counters);
  ~CudaProgram();

  // Queues one run on the current stream of the device. With `seconds` the steps run one by one,
  // and what each took is waited for.
  void run(double* seconds);
  size_t scratch_bytes() const { return graph_ ? graph_->scratch_bytes() : 0; }

 private:
  void follow_last_run();
  void run_steps(double* seconds);

  const CompiledProgram& program_;
  Memory& memory_;
  const SparedSteps& spared_;
  Workspace& workspace_;
  ProgramCounters& counters_;
  CudaSteps steps_;
  std::optional<CudaGraph> graph_;
  Ref<cuda::Stream> last_;  // that this Program ran on
};

}  // namespace ostinato
