#include "cpu/convert.hpp"

#include "cpu/isa.hpp"

namespace ostinato {

OSTINATO_PER_ISA(ConvertFn converter(DType from, DType to);)

ConvertFn converter(DType from, DType to) { return OSTINATO_CHOOSE(converter(from, to)); }

}  // namespace ostinato
