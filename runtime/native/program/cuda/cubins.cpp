#include "program/cuda/cubins.hpp"

#include <algorithm>

#include "core/error.hpp"
#include "cuda/context.hpp"
#include "cuda/driver.hpp"

namespace ostinato {
namespace {

constexpr uint32_t kSharedByDefault = 48 << 10;

}  // namespace

int Cubins::number_of(std::string_view name) const {
  const auto found = std::ranges::find(kernels_, name, &CubinKernel::name);
  if (found == kernels_.end()) {
    throw Error(ErrorKind::compile,
                "a Program launches " + std::string(name) + ", which it has no cubin of");
  }
  return static_cast<int>(found - kernels_.begin());
}

CUfunction Cubins::function(int number, int device, const std::function<std::string()>& described) {
  loaded_.resize(kernels_.size());
  Loaded& at = loaded_[number];
  if (at.function) return at.function;
  const CubinKernel& k = kernels_[number];
  const cuda::Driver& driver = cuda::driver();
  const auto check = [&](CUresult result) {
    if (result != CUDA_SUCCESS) cuda::fail(result, "loading " + described());
  };
  CUmodule module = nullptr;
  check(driver.cuModuleLoadData_(&module, code_.data() + k.offset));
  at.module = decltype(at.module)(module, Unload{device});
  CUfunction found = nullptr;
  check(driver.cuModuleGetFunction_(&found, module, k.symbol.c_str()));
  if (k.shared > kSharedByDefault) {
    check(driver.cuFuncSetAttribute_(found, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                                     static_cast<int>(k.shared)));
  }
  return at.function = found;
}

void Cubins::Unload::operator()(CUmodule module) const noexcept {
  if (cuda::becomes_current(device)) cuda::driver().cuModuleUnload_(module);
}

}  // namespace ostinato
