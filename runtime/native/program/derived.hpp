// The Programs of single calls, by structural key: bodies of composites and gradients of ops.
#pragma once
#include "dispatch/pattern.hpp"
#include "program/program.hpp"

namespace ostinato {

enum class ProgramKind : uint8_t { forward, gradient };

// Operands and results a call may have flags for.
using Flags = SmallVector<bool, 8>;

// The structural key of a Program: the op, attributes other than sizes, patterns of operands and
// results; of a gradient also which operands need one and which results have a cotangent.
struct ProgramKey {
  ProgramKind kind;
  const OpInfo* op;
  std::span<const Pattern> operands;
  std::span<const Pattern> results;
  std::span<const Attr> attrs;
  Flags wanted = {};
  Flags given = {};
};

// The one Program of a key, derived or loaded the first time; it lives as long as the process.
const Program& find_program(const ProgramKey& key);

// Set by the bindings: makes the Program of a new key (takes the GIL itself).
using DeriveFn = Ref<Program> (*)(const ProgramKey& key);
void set_derive(DeriveFn fn);

}  // namespace ostinato
