// The instruction sets that kernels are compiled for, and the one in use.
#pragma once

namespace ostinato {

enum class Isa { generic, v3, v4 };
inline constexpr int kIsaCount = 3;

// The widest that this machine has, or the one that OSTINATO_ISA names.
Isa active_isa();

// Functions of cpu/simd exist once for each instruction set, in the namespace of its name.
// OSTINATO_PER_ISA declares one (or several) in all; OSTINATO_CHOOSE names the one in use.
#if defined(__x86_64__)
#define OSTINATO_PER_ISA(...) \
  namespace generic {         \
  __VA_ARGS__                 \
  }                           \
  namespace v3 {              \
  __VA_ARGS__                 \
  }                           \
  namespace v4 {              \
  __VA_ARGS__                 \
  }
#define OSTINATO_CHOOSE(...)                                                       \
  (::ostinato::active_isa() == ::ostinato::Isa::v4   ? ::ostinato::v4::__VA_ARGS__ \
   : ::ostinato::active_isa() == ::ostinato::Isa::v3 ? ::ostinato::v3::__VA_ARGS__ \
                                                     : ::ostinato::generic::__VA_ARGS__)
#else
#define OSTINATO_PER_ISA(...) \
  namespace generic {         \
  __VA_ARGS__                 \
  }
#define OSTINATO_CHOOSE(...) (::ostinato::generic::__VA_ARGS__)
#endif

}  // namespace ostinato
