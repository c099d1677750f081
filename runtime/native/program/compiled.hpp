// Compiled Programs: kernel launches and op calls over planned memory (codegen/program.py).
#pragma once
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "dispatch/op_call.hpp"
#include "program/memory.hpp"
#include "program/object_loader.hpp"

namespace ostinato {

enum class Space : uint8_t { input, output, arena, constant };

// Where a tensor of the Program lies; `place` is an index, or a byte offset of the arena.
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
};

struct ProgramOutput {
  DType dtype;
  Sizes sizes;
  int writes = -1;  // the input whose storage holds it
  int input = -1;   // it is this input, unchanged
};

using CompiledKernel = void (*)(void* const* buffers, int64_t begin, int64_t end);

struct CompiledStep {
  CompiledKernel kernel = nullptr;  // a launch; else `op` is called
  std::vector<int> tensors;         // of a launch: buffers; of a call: operands (-1: absent)
  int64_t extent = 0;
  int64_t grain = 1;
  const OpInfo* op = nullptr;
  std::vector<Attr> attrs;
  std::vector<int> results;
  std::string name;
  std::string location;
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

class CompiledProgram {
 public:
  std::vector<ProgramInput> inputs;
  std::vector<ProgramOutput> outputs;
  std::vector<Tensor> constants;
  std::vector<Placed> tensors;
  std::vector<CompiledStep> steps;
  size_t arena_bytes = 0;
  std::unique_ptr<LoadedObject> object;

  // Input `i` is `t` in every run that does not give it.
  void keep(int i, Tensor t);
  // The results that `wanted` names, in fresh memory or those of written inputs. Error (shape,
  // dtype) where an input is not as it was captured. One run at a time: the arena is the Program's
  // own. `seconds`, where given, takes what each step took.
  void run(std::span<const Given> given, std::span<const int> wanted, Tensor* results,
           double* seconds = nullptr);
  // All results, of all inputs.
  std::vector<Tensor> run(std::span<const Tensor> given, double* seconds = nullptr);

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
  void bind(std::span<const Given> given);
  void bind_kept();
  void bind_tensor(int input, TensorImpl* t);
  void bind_number(const Given& given);
  void allocate_outputs();
  void run_steps(double* seconds);
  void write_back();
  Tensor elements_of(int input) const;
  Tensor result(int output) const;
  void release();

  std::mutex mutex_;
  std::vector<Kept> kept_;
  std::optional<Memory> memory_;
  std::vector<Bound> bound_;   // by input
  std::vector<Tensor> fresh_;  // by output
  std::vector<int> made_;      // outputs in fresh memory
  std::vector<int> written_;   // outputs that are written inputs
  std::vector<int> passing_;   // inputs that are bound for this run alone
};

}  // namespace ostinato
