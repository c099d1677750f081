#include "cpu/isa.hpp"

#include <cstdlib>
#include <string_view>

namespace ostinato {
namespace {

Isa widest() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("x86-64-v4")) return Isa::v4;
  if (__builtin_cpu_supports("x86-64-v3")) return Isa::v3;
#endif
  return Isa::generic;
}

Isa choose() {
  const Isa has = widest();
  const char* given = std::getenv("OSTINATO_ISA");
  if (given == nullptr) return has;
  const std::string_view name(given);
  const Isa asked = name == "generic" ? Isa::generic : name == "v3" ? Isa::v3 : Isa::v4;
  return asked < has ? asked : has;
}

}  // namespace

Isa active_isa() {
  static const Isa chosen = choose();
  return chosen;
}

}  // namespace ostinato
