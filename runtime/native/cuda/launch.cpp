#include "cuda/launch.hpp"

#include <chrono>
#include <fstream>
#include <map>
#include <mutex>
#include <sstream>

#include "core/error.hpp"
#include "cuda/driver.hpp"
#include "cuda/kernels/slots.hpp"
#include "cuda/stream.hpp"

namespace ostinato::cuda {
namespace {

struct Libraries {
  std::mutex mutex;
  std::string folder;
  std::map<std::pair<int, std::string>, CUmodule> loaded;
};

Libraries& libraries() {
  static Libraries& made = *new Libraries;
  return made;
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    throw Error(ErrorKind::device, "cuda: " + path +
                                       " is missing: this build has no CUDA kernels; build with "
                                       "OSTINATO_CUDA=ON, or use device=\"cpu\"");
  }
  std::ostringstream content;
  content << file.rdbuf();
  return content.str();
}

CUmodule load(int device, const std::string& path) {
  const std::string image = read_file(path);
  use_device(device);
  CUmodule made = nullptr;
  const CUresult result = driver().cuModuleLoadData_(&made, image.data());
  if (result == CUDA_ERROR_NO_BINARY_FOR_GPU) {
    const Properties& p = properties(device);
    throw Error(ErrorKind::device, "cuda: " + path + " has no kernels for " + p.name + " (sm_" +
                                       std::to_string(p.major) + std::to_string(p.minor) +
                                       "); build for it with OSTINATO_CUDA_ARCHITECTURES");
  }
  check(result, "cuModuleLoadData");
  return made;
}

[[noreturn]] void fail_launch(CUresult result, CUfunction fn) {
  const char* name = nullptr;
  if (driver().cuFuncGetName_(&name, fn) != CUDA_SUCCESS || name == nullptr) name = "a kernel";
  fail(result, "the launch of " + std::string(name));
}

}  // namespace

void set_kernel_folder(std::string folder) {
  Libraries& all = libraries();
  const std::lock_guard lock(all.mutex);
  all.folder = std::move(folder);
}

CUfunction find_kernel(int device, const char* library, const char* name) {
  Libraries& all = libraries();
  const std::lock_guard lock(all.mutex);
  CUmodule& module = all.loaded[{device, library}];
  if (module == nullptr) module = load(device, all.folder + "/" + library + ".fatbin");
  use_device(device);
  CUfunction found = nullptr;
  const CUresult result = driver().cuModuleGetFunction_(&found, module, name);
  if (result != CUDA_SUCCESS) fail(result, "looking up kernel " + std::string(name));
  return found;
}

CUfunction KernelName::on(int device) {
  CUfunction found = found_[device].load(std::memory_order_acquire);
  if (found != nullptr) return found;
  found = find_kernel(device, library_, name_);
  found_[device].store(found, std::memory_order_release);
  return found;
}

void launch(CUfunction fn, int device, Grid grid, Grid block, uint32_t shared, void** arguments) {
  use_device(device);
  const CUresult result =
      driver().cuLaunchKernel_(fn, grid.x, grid.y, grid.z, block.x, block.y, block.z, shared,
                               current_handle(device), arguments, nullptr);
  if (result != CUDA_SUCCESS) [[unlikely]]
    fail_launch(result, fn);
}

double seconds_of_launch(int device, int count) {
  static KernelName nothing{"slots", "store_word"};
  use_device(device);
  const CUfunction fn = nothing.on(device);
  WordParams none = {};
  void* arguments[] = {&none};
  const auto started = std::chrono::steady_clock::now();
  for (int i = 0; i < count; ++i) launch(fn, device, {}, {1}, 0, arguments);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - started;
  return took.count() / count;
}

}  // namespace ostinato::cuda
