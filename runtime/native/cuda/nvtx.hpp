// Ranges that profilers show, where NVIDIA's tools extension is installed; else nothing.
#pragma once
#include <string>
#include <vector>

namespace ostinato::cuda {

// Opens the first of `libraries` that is there; false where none is.
bool load_nvtx(const std::vector<std::string>& libraries);
// The depth of the range that begins, from 0; negative where there are no ranges.
int nvtx_push(const char* name);
int nvtx_pop();
void nvtx_mark(const char* name);

}  // namespace ostinato::cuda
