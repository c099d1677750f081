// Memsets of a graph as kernels.
#pragma once
#include <cuda.h>

namespace ostinato {

// Replaces the memset nodes of `graph`, for `device`, by kernels that store the same: each memset
// node makes the launch of a graph a microsecond longer. Those of several rows, or of other than
// whole words, stay.
void store_words_by_kernels(CUgraph graph, int device);

}  // namespace ostinato
