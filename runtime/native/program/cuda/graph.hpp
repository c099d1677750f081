// A compiled Program as one CUDA graph: built node by node, replayed with patches.
#pragma once
#include <cuda.h>

#include <memory>
#include <vector>

#include "core/scratch.hpp"
#include "cuda/stream.hpp"
#include "program/cuda/steps.hpp"
#include "program/step_order.hpp"

namespace ostinato {

// What the steps of a Program on its device read and write, sorted by step.
std::vector<Access> accesses_of(const CompiledProgram& program);

class CudaGraph {
 public:
  // Builds the graph of the steps as they are now; `counters` count what replays do.
  CudaGraph(const CompiledProgram& program, Memory& memory, CudaSteps& steps,
            ProgramCounters& counters);
  CudaGraph(const CudaGraph&) = delete;
  CudaGraph& operator=(const CudaGraph&) = delete;

  // Gives nodes what moved since, and queues the graph on the current stream, but for what is
  // spared.
  void replay(const SparedSteps& spared);
  // Of the memory that library calls ask for beside operands and results.
  size_t scratch_bytes() const { return scratch_.bytes(); }
  // That memory is in use on `stream`, beside the one that it was made on.
  void record_stream(const cuda::Stream& stream) const;

 private:
  struct Destroy {
    void operator()(CUgraph graph) const noexcept;
    void operator()(CUgraphExec exec) const noexcept;
  };
  using GraphHandle = std::unique_ptr<std::remove_pointer_t<CUgraph>, Destroy>;
  using ExecHandle = std::unique_ptr<std::remove_pointer_t<CUgraphExec>, Destroy>;
  struct Captured {
    GraphHandle graph;
    bool uses_scratch = false;
  };

  void build();
  void check(std::span<const Access> accesses, std::span<const StepEdge> edges) const;
  void add(size_t s, const std::vector<int>& after, CUgraph call);
  // Library call `s` as a graph of its own.
  Captured capture(size_t s);
  Captured captured(size_t s);
  std::string size_text() const;
  void patch(size_t s);
  void spare(const SparedSteps& spared);

  const CompiledProgram& program_;
  Memory& memory_;
  CudaSteps& steps_;
  ProgramCounters& counters_;
  Ref<cuda::Stream> capturing_;
  Scratch scratch_;  // of library calls
  GraphHandle graph_;
  ExecHandle exec_;
  std::vector<std::vector<CUgraphNode>> nodes_;  // by step; several of a long upload
  std::vector<size_t> watched_;                  // steps that read values of the host
  std::vector<bool> disabled_;                   // by step, those of spared ones
};

}  // namespace ostinato
