// What the table says of each op, for `help`.
#pragma once
#include <cstdint>

namespace ostinato {

// In ops.cpp, printed from the table.
const char* doc_of(uint16_t op);

}  // namespace ostinato
