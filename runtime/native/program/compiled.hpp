// Compiled Programs: kernel launches and op calls over planned memory (codegen/program.py).
#pragma once
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "cuda/stream.hpp"
#include "dispatch/op_call.hpp"
#include "program/cuda/cubins.hpp"
#include "program/memory.hpp"
#include "program/object_loader.hpp"
#include "program/spared.hpp"

namespace ostinato {

enum class Space : uint8_t { input, output, arena, constant, host };

// Where a tensor of the Program lies; `place` is an index, or a byte offset of the arena or of the
// Program's memory on the host.
struct Placed {
  Space space;
  int64_t place;
  DType dtype;
  Sizes sizes;
  Sizes strides;
  int64_t start;  // in elements
};

struct ProgramInput {
  DType dtype;
  Sizes sizes;
  bool number;
  bool host = false;  // in the CPU's memory, of a Program for another device
};

struct ProgramOutput {
  DType dtype;
  Sizes sizes;
  int writes = -1;  // the input whose storage holds it
  int input = -1;   // it is this input, unchanged
  bool host = false;
};

// After the buffers come the sizes that a kernel takes.
using CompiledKernel = void (*)(void* const* buffers, int64_t begin, int64_t end);

enum class StepKind : uint8_t { launch, call, upload };

struct CompiledStep {
  StepKind kind = StepKind::launch;
  std::vector<int> tensors;    // of a launch: buffers; of others: operands (-1: absent)
  int writes = 0;              // of a launch: how many of the last buffers are results
  std::vector<int64_t> sizes;  // of a launch: what its kernel takes after the buffers
  CompiledKernel kernel = nullptr;
  int64_t extent = 0;
  int64_t grain = 1;
  int cubin = -1;         // of a launch on a CUDA device, which has no `kernel`
  uint32_t programs = 0;  // that run it there
  const OpInfo* op = nullptr;
  std::vector<Attr> attrs;
  std::vector<int> results;
  bool host = false;  // a call that the CPU runs before the device starts
  std::string name;
  std::string location;
  std::string phase;  // of a training step: forward, backward or optimizer
};

// Memory of intermediates, for Programs that differ only in sizes: one of them runs at a time, on a
// device after the `last` one.
struct Workspace {
  std::mutex mutex;
  Tensor arena;
  Ref<cuda::Stream> last;

  // At least `bytes`; what was given before stays as it is.
  Tensor arena_of(size_t bytes, Device device);
};

// What a run gets for one input: a tensor that lives until the run ends, or a number.
struct Given {
  int input;
  TensorImpl* tensor = nullptr;
  DType dtype = DType::float64_;  // of a number: float64, int64 or bool
  double real = 0;
  int64_t integer = 0;

  static Given number(int input, const Tensor& value);
  Tensor as_tensor() const;
};

// How often a Program for a CUDA device did what costs time.
struct ProgramCounters {
  int64_t builds = 0;      // of its graph
  int64_t replays = 0;     // of that
  int64_t patches = 0;     // of the parameters of a kernel
  int64_t recaptures = 0;  // of a library call
  int64_t copies = 0;      // of an input that did not lie as the kernels need it
};

class CudaProgram;  // program/cuda/program.hpp

class CompiledProgram {
 public:
  CompiledProgram();
  ~CompiledProgram();

  const uint64_t number;  // that no other Program has
  std::vector<ProgramInput> inputs;
  std::vector<ProgramOutput> outputs;
  std::vector<Tensor> constants;
  std::vector<Placed> tensors;
  std::vector<CompiledStep> steps;
  size_t arena_bytes = 0;
  size_t host_bytes = 0;
  Device device;
  std::shared_ptr<LoadedObject> object;  // of kernels for the CPU
  std::shared_ptr<Cubins> cubins;        // of kernels for a CUDA device

  // Takes kernels and memory of a Program that differs in sizes.
  void share(const CompiledProgram& other);
  // Input `i` is `t` in every run that does not give it.
  void keep(int i, Tensor t);
  // A run may be asked for other results than `outputs`, and leaves out what only these need.
  void may_spare(std::span<const int> outputs);
  // The results that `wanted` names, in fresh memory or those of written inputs; null for
  // `kSpared`. Error (shape, dtype) where an input is not as it was captured. One run at a time:
  // the arena is the Program's own. `seconds`, where given, takes what each step took; that of one
  // that is left out stays.
  void run(std::span<const Given> given, std::span<const int> wanted, Tensor* results,
           double* seconds = nullptr);
  // Those that `wanted` names, of all inputs; all results where it is left out.
  std::vector<Tensor> run(std::span<const Tensor> given, std::span<const int> wanted,
                          double* seconds = nullptr);
  std::vector<Tensor> run(std::span<const Tensor> given, double* seconds = nullptr);
  ProgramCounters counters() const { return counters_; }
  // What library calls of the graph ask for beside the arena; 0 before it is built.
  size_t scratch_bytes() const;

 private:
  // What an input is in this run; `gathered` are its elements where they did not lie contiguous.
  struct Bound {
    TensorImpl* tensor = nullptr;
    std::byte* data = nullptr;
    Tensor gathered;
  };
  struct Kept {
    int input;
    Tensor tensor;
  };

  void prepare();
  const std::string* lasting_line();
  void bind(std::span<const Given> given);
  void bind_kept();
  void bind_tensor(int input, TensorImpl* t);
  void bind_number(const Given& given);
  void allocate_outputs();
  void run_profiled();
  void run_steps(double* seconds);
  void write_back();
  void check_device(int input, TensorImpl* t) const;
  bool lies_as_needed(const ProgramInput& want, TensorImpl* t) const;
  Tensor gathered(const ProgramInput& want, TensorImpl* t) const;
  Tensor elements_of(int input) const;
  Tensor result(int output) const;
  void release();

  std::shared_ptr<Workspace> workspace_ = std::make_shared<Workspace>();
  std::vector<Kept> kept_;
  std::optional<Memory> memory_;
  SparedSteps spared_;
  std::unique_ptr<CudaProgram> cuda_;
  ProgramCounters counters_;
  const std::string* line_ = nullptr;  // what holds its memory on a device
  std::vector<Bound> bound_;           // by input
  std::vector<Tensor> fresh_;          // by output
  std::vector<int> made_;              // outputs in fresh memory
  std::vector<int> written_;           // outputs that are written inputs
  std::vector<int> passing_;           // inputs that are bound for this run alone
};

}  // namespace ostinato
