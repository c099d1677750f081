// Compiled Programs: kernel launches and op calls over planned memory (codegen/program.py).
#pragma once
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "dispatch/op_call.hpp"
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

class CompiledProgram {
 public:
  std::vector<ProgramInput> inputs;
  std::vector<ProgramOutput> outputs;
  std::vector<Tensor> constants;
  std::vector<Placed> tensors;
  std::vector<CompiledStep> steps;
  size_t arena_bytes = 0;
  std::unique_ptr<LoadedObject> object;

  // Results in fresh memory, or those of written inputs. Error (shape, dtype) where an input is not
  // as it was captured. One run at a time: the arena is the Program's own.
  // `seconds`, where given, takes what each step took.
  std::vector<Tensor> run(std::span<const Tensor> given, double* seconds = nullptr);

 private:
  std::vector<Tensor> fitted(std::span<const Tensor> given) const;
  Tensor tensor_at(const Placed& p, std::span<const Tensor> in, std::span<const Tensor> out) const;
  void launch(const CompiledStep& step, std::span<const Tensor> all) const;
  void call(const CompiledStep& step, std::span<const Tensor> all) const;

  std::mutex mutex_;
  Tensor arena_;
};

}  // namespace ostinato
