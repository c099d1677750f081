#include "cuda/nvtx.hpp"

#include <dlfcn.h>

namespace ostinato::cuda {
namespace {

struct Extension {
  int (*push)(const char*) = nullptr;
  int (*pop)() = nullptr;
  void (*mark)(const char*) = nullptr;
};

Extension& extension() {
  static Extension loaded;
  return loaded;
}

template <class F>
bool find(void* library, const char* name, F& function) {
  function = reinterpret_cast<F>(dlsym(library, name));
  return function != nullptr;
}

}  // namespace

bool load_nvtx(const std::vector<std::string>& libraries) {
  for (const std::string& name : libraries) {
    void* library = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) continue;
    Extension e;
    if (find(library, "nvtxRangePushA", e.push) && find(library, "nvtxRangePop", e.pop) &&
        find(library, "nvtxMarkA", e.mark)) {
      extension() = e;
      return true;
    }
  }
  return false;
}

int nvtx_push(const char* name) { return extension().push ? extension().push(name) : -1; }
int nvtx_pop() { return extension().pop ? extension().pop() : -1; }
void nvtx_mark(const char* name) {
  if (extension().mark) extension().mark(name);
}

}  // namespace ostinato::cuda
