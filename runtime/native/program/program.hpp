// Programs over op calls: the bodies of unclaimed composites and gradients, derived in Python
// (ir/symbolic.py) once for each structural key and run here for any sizes.
#pragma once
#include <vector>

#include "dispatch/op_call.hpp"

namespace ostinato {

// One step of a postfix size expression; the three symbols read the call that the Program serves.
struct SizeStep {
  enum Kind : uint8_t { constant, operand, result, attr, add, sub, mul, div, max, min } kind;
  int64_t a = 0;  // the constant, or the index of the operand, result or attribute
  int64_t b = 0;  // the axis, or the element of an attribute (-1: it is a single size)
};
using SizeCode = std::vector<SizeStep>;

struct AttrTemplate {
  Attr constant;
  std::vector<SizeCode> sizes;  // empty: `constant`
  bool list = false;
};

struct Instruction {
  const OpInfo* op;
  std::vector<int> operands;  // slots; -1 for an absent one
  std::vector<int> results;
  std::vector<AttrTemplate> attrs;
  std::vector<int> frees;  // slots whose last use this is
};

struct Program {
  int slots = 0;
  std::vector<std::pair<int, Tensor>> numbers;  // constants by slot
  std::vector<Instruction> instructions;
  std::vector<int> outputs;  // slots; -1: no such output
  uint64_t reads = 0;        // bit i: input slot i is read (as a value, not only its shape)
};

// The shapes and attributes of the call that a Program's symbols refer to.
struct CallShapes {
  std::span<const Sizes> operands;
  std::span<const Sizes> results;
  std::span<const Attr> attrs;
};

// Runs `program` with its first slots set to `inputs`; `record` puts every op on the tape.
void run_program(const Program& program, std::span<const Tensor> inputs, const CallShapes& shapes,
                 bool record, Tensor* outputs);

// What a structural key holds: the op, attributes other than sizes, and of each operand its dtype,
// rank, size-1 axes and whether it is a number or needs a gradient.
enum class ProgramKind : uint8_t { forward, gradient };
const Program& find_program(ProgramKind kind, const OpCall& call, std::span<const Tensor> results,
                            uint32_t wanted);

// Set by the bindings: makes the Program of a new key (takes the GIL itself).
using DeriveFn = Program* (*)(ProgramKind kind, const OpCall& call, std::span<const Tensor> results,
                              uint32_t wanted);
void set_derive(DeriveFn fn);
// How many Programs were derived so far.
int64_t derived_count();

}  // namespace ostinato
