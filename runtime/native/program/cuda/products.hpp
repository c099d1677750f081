// The matrix products of a compiled Program for a CUDA device, measured before it runs.
#pragma once
#include "cuda/choices.hpp"
#include "program/compiled.hpp"

namespace ostinato {

// Chooses the algorithm of every product of the Program that has none yet, by running each of them
// on operands made up for it; the choices go to `keeper`, and serve all Programs of this process.
void choose_products(const CompiledProgram& program, cuda::blas::ChoiceKeeper& keeper);

}  // namespace ostinato
