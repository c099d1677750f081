// Programs of whole tapes: made for a structure that came three times, run from then on.
#pragma once
#include "autograd/structure.hpp"

namespace ostinato {

// Memory bounds: the least recently used go where one more would break them.
inline constexpr size_t kMostTapePrograms = 64;
inline constexpr size_t kMostTapeNodes = 16384;  // of all together

struct TapeProgram : RefCounted {
  static void destroy(TapeProgram* p) { delete p; }

  uint64_t hash;
  TapeStructure structure;
  Ref<Program> program;
  mutable std::atomic<uint64_t> used{0};  // when, by the count of runs
};

// The Program for a request, and its nodes by position; null while the structure is new, and for
// tapes that are only walked.
Ref<TapeProgram> find_tape_program(const TapeRequest& request, std::vector<Node*>& nodes);

// As `backward` with one root; the nodes are those that were found.
std::vector<Tensor> run_tape_program(const TapeProgram& program, const Tensor& seed, bool retain,
                                     std::span<Node* const> nodes);

// Set by the bindings: makes the Program of a structure (takes the GIL itself).
using DeriveTapeFn = Ref<Program> (*)(const TapeStructure& structure, std::span<Node* const> nodes);
void set_derive_tape(DeriveTapeFn fn);

// Whether this thread runs such Programs at all; it does by default.
bool tape_programs_enabled();
void set_tape_programs_enabled(bool on);
// Forgets all of them, and what was seen; other threads may still hold a few.
void clear_tape_programs();
// How many are kept for all threads.
size_t tape_programs_kept();

}  // namespace ostinato
