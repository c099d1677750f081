#include "cuda/cublaslt.hpp"

#include <dlfcn.h>

#include <cstdlib>
#include <mutex>

#include "core/error.hpp"
#include "cuda/context.hpp"

namespace ostinato::cuda::lt {
namespace {

constexpr const char* kName = "libcublasLt.so.13";

std::mutex mutex;
std::vector<std::string>& places() {
  static std::vector<std::string>& made = *new std::vector<std::string>;
  return made;
}

void* open_any() {
  if (const char* named = std::getenv("OSTINATO_LIBCUBLASLT")) {
    return dlopen(named, RTLD_NOW | RTLD_LOCAL);
  }
  for (const std::string& path : places()) {
    if (void* found = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)) return found;
  }
  return dlopen(kName, RTLD_NOW | RTLD_LOCAL);
}

Library open_library() {
  const std::lock_guard lock(mutex);
  void* opened = open_any();
  if (opened == nullptr) {
    throw Error(ErrorKind::device, std::string("matrix products on CUDA need ") + kName +
                                       ", which was not found; pip install nvidia-cublas, or name "
                                       "the file in OSTINATO_LIBCUBLASLT");
  }
  Library made;
  const auto find = [&](const char* name) {
    void* at = dlsym(opened, name);
    if (at == nullptr) {
      throw Error(ErrorKind::device, std::string(kName) + " has no function " + name +
                                         "; pip install nvidia-cublas of release 13");
    }
    return at;
  };
#define OSTINATO_FIND(NAME, ...) made.NAME##_ = reinterpret_cast<__VA_ARGS__>(find(#NAME));
  OSTINATO_CUBLASLT_FUNCTIONS(OSTINATO_FIND)
#undef OSTINATO_FIND
  return made;
}

}  // namespace

void set_places(std::vector<std::string> paths) {
  const std::lock_guard lock(mutex);
  places() = std::move(paths);
}

const Library& library() {
  static const Library opened = open_library();
  return opened;
}

Handle handle_of(int device) {
  struct Made {
    std::once_flag once;
    Handle handle = nullptr;
  };
  static Made made[kMostDevices];
  Made& m = made[device];
  std::call_once(m.once, [&] {
    use_device(device);
    OSTINATO_CUBLASLT(cublasLtCreate, &m.handle);
  });
  return m.handle;
}

void check(int status, const char* what) {
  if (status == 0) return;
  throw Error(ErrorKind::device,
              std::string("cuBLASLt: ") + what + " failed with status " + std::to_string(status));
}

}  // namespace ostinato::cuda::lt
