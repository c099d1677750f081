// The instruction sets that kernels are compiled for, and the one in use.
#pragma once

namespace ostinato {

enum class Isa { generic, v3, v4 };
inline constexpr int kIsaCount = 3;

// The widest that this machine has, or the one that OSTINATO_ISA names.
Isa active_isa();

}  // namespace ostinato
