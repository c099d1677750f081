// The steps of a compiled Program for a CUDA device, one by one.
#pragma once
#include <cuda.h>

#include <memory>
#include <string>
#include <vector>

#include "cuda/kernels/slots.hpp"
#include "program/compiled.hpp"

namespace ostinato {

class CudaSteps {
 public:
  CudaSteps(const CompiledProgram& program, Memory& memory);
  CudaSteps(const CudaSteps&) = delete;
  CudaSteps& operator=(const CudaSteps&) = delete;

  // What the CPU computes, and the values of the slots.
  void run_host();
  // Queues step `s` on the current stream of the device; nothing for steps of the host.
  void run(size_t s);

  // A launch as a node of a graph, its parameters those of now; they are read again from where
  // they lie. An upload is one such for each `kMostSlots` values.
  struct Kernel {
    CUDA_KERNEL_NODE_PARAMS node = {};
    std::vector<void*> arguments;
  };
  std::vector<Kernel>& kernels(size_t s) { return kernels_[s]; }
  // Whether step `s` depends on values of the host, other than literals.
  bool reads_host(size_t s) const;
  // Whether the values of an upload, or of operands of a call that lie on the host, are others than
  // when they were last noted.
  bool changed(size_t s) const;
  void note_values(size_t s);
  // `kernel NAME (file:line)`, for errors.
  std::string described(size_t s) const;

 private:
  struct Slots {
    std::vector<cuda::SlotParams> parts;
    bool changed = false;
  };

  void prepare_launch(size_t s);
  void prepare_upload(size_t s);
  void fill_slots(size_t s);
  std::vector<std::byte> host_operands(size_t s) const;

  const CompiledProgram& program_;
  Memory& memory_;
  std::vector<std::vector<Kernel>> kernels_;
  std::vector<Slots> slots_;
  std::vector<std::vector<std::byte>> seen_;  // bytes of host operands of calls
  void* null_ = nullptr;
};

// Runs an op of the table on tensors that lie where its results and operands are.
void run_call(const CompiledStep& step, std::span<const Tensor> operands, std::span<Tensor> results,
              Device device);

}  // namespace ostinato
