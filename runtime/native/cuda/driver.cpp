#include "cuda/driver.hpp"

#include <dlfcn.h>
#include <pthread.h>

#include <atomic>
#include <cstdlib>

#include "core/error.hpp"

static_assert(CUDA_VERSION >= 13000 && CUDA_VERSION < 14000, "the cuda.h of CUDA 13 is needed");

namespace ostinato::cuda {
namespace {

// Of the driver, as it tells it: release 580 is the first of CUDA 13.
constexpr int kOldest = 13000;
constexpr const char* kNeeded =
    "a CUDA device needs an NVIDIA GPU and its driver, release 580 or newer; install them, or use "
    "device=\"cpu\"";

struct Opened {
  Driver functions;
  std::string failure;  // empty when all went well
};

std::atomic<bool> forked{false};

// The driver's own library, or another one with its functions.
const char* library_name() {
  const char* given = std::getenv("OSTINATO_LIBCUDA");
  return given != nullptr && *given != 0 ? given : "libcuda.so.1";
}

#define OSTINATO_TEXT(name) #name
// The header defines many a name as a versioned one (cuMemAlloc as cuMemAlloc_v2), which is the
// symbol: the extra step expands it.
#define OSTINATO_SYMBOL(name) OSTINATO_TEXT(name)

// Fills the table; the name of a function that the library lacks, null where it has all.
const char* find_functions(void* library, Driver& into) {
  const auto found = [library](auto& function, const char* symbol) {
    function =
        reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(library, symbol));
    return function != nullptr;
  };
#define OSTINATO_FIND(name) \
  if (!found(into.name##_, OSTINATO_SYMBOL(name))) return OSTINATO_SYMBOL(name);
  OSTINATO_DRIVER_FUNCTIONS(OSTINATO_FIND)
#undef OSTINATO_FIND
  return nullptr;
}

#undef OSTINATO_SYMBOL
#undef OSTINATO_TEXT

Opened open() {
  Opened made;
  const std::string name = library_name();
  void* library = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    made.failure = "cuda: " + name + " cannot be opened; " + kNeeded;
    return made;
  }
  if (const char* lacking = find_functions(library, made.functions)) {
    made.failure = "cuda: " + name + " is too old: it lacks " + lacking + "; " + kNeeded;
    return made;
  }
  int version = 0;
  if (made.functions.cuDriverGetVersion_(&version) == CUDA_SUCCESS && version < kOldest) {
    made.failure = "cuda: " + name + " is too old: it is of CUDA " +
                   std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10) +
                   "; " + kNeeded;
    return made;
  }
  const CUresult result = made.functions.cuInit_(0);
  if (result != CUDA_SUCCESS) {
    const char* text = "an unknown error";
    made.functions.cuGetErrorName_(result, &text);
    made.failure = "cuda: the driver does not start (" + std::string(text) + "); " + kNeeded;
    return made;
  }
  pthread_atfork(nullptr, nullptr, [] { forked.store(true, std::memory_order_relaxed); });
  return made;
}

const Opened& opened() {
  static const Opened& once = *new Opened(open());
  return once;
}

// After these the context is lost: every later call fails with the same.
bool is_final(CUresult result) {
  switch (result) {
    case CUDA_ERROR_ILLEGAL_ADDRESS:
    case CUDA_ERROR_LAUNCH_FAILED:
    case CUDA_ERROR_LAUNCH_TIMEOUT:
    case CUDA_ERROR_ILLEGAL_INSTRUCTION:
    case CUDA_ERROR_MISALIGNED_ADDRESS:
    case CUDA_ERROR_INVALID_ADDRESS_SPACE:
    case CUDA_ERROR_INVALID_PC:
    case CUDA_ERROR_HARDWARE_STACK_ERROR:
    case CUDA_ERROR_ASSERT:
    case CUDA_ERROR_ECC_UNCORRECTABLE:
    case CUDA_ERROR_NVLINK_UNCORRECTABLE:
    case CUDA_ERROR_CONTEXT_IS_DESTROYED:
    case CUDA_ERROR_EXTERNAL_DEVICE:
      return true;
    default:
      return false;
  }
}

}  // namespace

const Driver& driver() {
  const Opened& o = opened();
  if (!o.failure.empty()) throw Error(ErrorKind::device, o.failure);
  if (forked.load(std::memory_order_relaxed)) {
    throw Error(ErrorKind::device,
                "cuda: this process was forked from one that uses CUDA, which does not survive a "
                "fork; start it with multiprocessing's method \"spawn\"");
  }
  return o.functions;
}

const Driver* usable_driver() noexcept {
  const Opened& o = opened();
  const bool usable = o.failure.empty() && !forked.load(std::memory_order_relaxed);
  return usable ? &o.functions : nullptr;
}

bool is_available() {
  const Driver* functions = usable_driver();
  int count = 0;
  return functions != nullptr && functions->cuDeviceGetCount_(&count) == CUDA_SUCCESS && count > 0;
}

void fail(CUresult result, const std::string& what) {
  const Driver& functions = opened().functions;
  const char* name = "an unknown error";
  const char* text = "of a code that the driver does not know";
  functions.cuGetErrorName_(result, &name);
  functions.cuGetErrorString_(result, &text);
  std::string message = "cuda: " + what + " failed with " + name + ": " + text;
  if (is_final(result)) {
    message +=
        "; work queued before may have caused it, and the device is lost to this process: start a "
        "new one, under compute-sanitizer to see the kernel";
  }
  throw Error(ErrorKind::device, message);
}

}  // namespace ostinato::cuda
