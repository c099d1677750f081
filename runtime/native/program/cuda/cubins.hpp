// The kernels of compiled Programs for a CUDA device, loaded once for all that share them.
#pragma once
#include <cuda.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace ostinato {

// A kernel; its cubin lies at `offset` in the code of all.
struct CubinKernel {
  std::string name;
  std::string symbol;
  uint32_t threads;
  uint32_t shared;
  size_t offset;
};

class Cubins {
 public:
  Cubins(std::string code, std::vector<CubinKernel> kernels)
      : code_(std::move(code)), kernels_(std::move(kernels)) {}

  // The number of the kernel called `name`; an Error where there is none.
  int number_of(std::string_view name) const;
  const CubinKernel& kernel(int number) const { return kernels_[number]; }
  // The function of a kernel on `device`, which is the same in all calls; an error says that it
  // was in loading what `described` gives.
  CUfunction function(int number, int device, const std::function<std::string()>& described);

 private:
  struct Unload {
    int device;
    void operator()(CUmodule module) const noexcept;
  };
  struct Loaded {
    std::unique_ptr<std::remove_pointer_t<CUmodule>, Unload> module;
    CUfunction function = nullptr;
  };

  std::string code_;
  std::vector<CubinKernel> kernels_;
  std::vector<Loaded> loaded_;
};

}  // namespace ostinato
