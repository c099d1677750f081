// Programs over op calls: bodies of unclaimed composites, gradients of ops and of whole tapes. They
// are derived in Python (ir/symbolic.py, ir/tape.py) once for each structure, and run for any
// sizes.
#pragma once
#include <vector>

#include "dispatch/op_call.hpp"
#include "dispatch/op_table.hpp"

namespace ostinato {

// One step of a postfix size expression. The first three symbols after `constant` read call number
// `call` of those that the Program serves.
struct SizeStep {
  enum Kind : uint8_t { constant, operand, result, attr, add, sub, mul, div, max, min } kind;
  int64_t a = 0;  // the constant, or the index of the operand, result or attribute
  int64_t b = 0;  // the axis, or the element of an attribute (-1: it is a single size)
  int call = 0;
};
using SizeCode = std::vector<SizeStep>;
// The most values that a size expression keeps at once.
inline constexpr int kSizeDepth = 16;

struct AttrTemplate {
  Attr constant;
  std::vector<SizeCode> sizes;  // empty: `constant`
  bool list = false;
};

struct Instruction {
  // `add` may write into its first operand; `sum_selected` adds up tensors that are zeros but for
  // one operand each; `gradient` is the printed gradient of a pointwise op. Those after it are
  // steps of a tape: see TapeSteps.
  enum Kind : uint8_t {
    call,
    add,
    sum_selected,
    gradient,
    function,
    enter,
    leave,
    deliver
  } kind = call;
  const OpInfo* op = nullptr;
  std::vector<int> operands;  // slots; -1 for an absent one
  std::vector<int> last;      // positions in `operands` whose slot is used here for the last time
  std::vector<int> results;   // slots; -1 for one that nobody uses
  std::vector<AttrTemplate> attrs;
  int served = 0;                         // which of the calls that the Program serves it is for
  int operand = 0;                        // of that call: the operand a gradient is of or goes to
  const PointwiseEntry* entry = nullptr;  // of a gradient
  DType dtype = DType::float32_;          // of a gradient: that of its operand
};

struct Program : RefCounted {
  static void destroy(Program* p) { delete p; }

  int inputs = 0;  // slots 0 to `inputs` - 1
  int slots = 0;
  std::vector<std::pair<int, Tensor>> numbers;  // constants by slot
  std::vector<Instruction> instructions;
  std::vector<int> outputs;  // slots; -1: no such output
  std::vector<bool> reads;   // by input: it is read (as a value, not only its shape)
  int serves = 1;            // how many calls its symbols refer to
};

// The shapes and attributes of a call that a Program serves.
struct CallShapes {
  std::span<const Sizes> operands;
  std::span<const Sizes> results;
  std::span<const Attr> attrs;
};

// What a Program of a whole tape does to the tape.
class TapeSteps {
 public:
  // The cotangents of a node's edges by its own gradient function.
  virtual void function(const Instruction& step, std::span<const Tensor> cotangents,
                        Tensor* out) = 0;
  // Where a step makes a tensor if no operand says.
  virtual Device device(const Instruction& step) const = 0;
  // Checks the saved tensors of a node and puts those into `slots` that the step names.
  virtual void enter(const Instruction& step, std::span<Tensor> slots) = 0;
  // Lets go of what the node saved.
  virtual void leave(const Instruction& step) = 0;
  // Adds to the grad of the leaf that an operand of the node is.
  virtual void deliver(const Instruction& step, Tensor cotangent) = 0;

 protected:
  ~TapeSteps() = default;
};

// Runs `program` with its first slots set to `inputs`; `record` puts every op on the tape.
void run_program(const Program& program, std::span<const Tensor> inputs,
                 std::span<const CallShapes> calls, bool record, Tensor* outputs,
                 TapeSteps* tape = nullptr);

}  // namespace ostinato
