// A libcuda for machines without a GPU: memory is the host's, streams do their work at once, and
// kernels run as block.hpp says. What the tests do not need is refused.
#include <cuda.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "block.hpp"
#include "queue.hpp"

namespace {

constexpr size_t kMemory = size_t{4} << 30;
constexpr size_t kAligned = 256;
constexpr int kDevices = 2;

struct Kernel {
  std::string name;
};

void* memory(CUdeviceptr p) { return reinterpret_cast<void*>(p); }
const void* source(CUdeviceptr p) { return reinterpret_cast<const void*>(p); }

CUresult allocate(void** p, size_t bytes) {
  *p = std::aligned_alloc(kAligned, (bytes + kAligned - 1) / kAligned * kAligned);
  if (*p == nullptr) return CUDA_ERROR_OUT_OF_MEMORY;
  std::memset(*p, 0xcd, bytes);  // so that nothing is zero by chance
  return CUDA_SUCCESS;
}

template <class T>
CUresult fill(CUdeviceptr p, T value, size_t count) {
  for (size_t i = 0; i < count; ++i) static_cast<T*>(memory(p))[i] = value;
  return CUDA_SUCCESS;
}

// A handle that is not null and means nothing.
template <class T>
T some_handle() {
  static char place[256];
  return reinterpret_cast<T>(place);
}

thread_local CUcontext context = nullptr;
// The time of events: what work says that it takes, so that tests know who is faster.
thread_local double milliseconds_worked = 0;

}  // namespace

void queue_work(CUstream, double milliseconds, std::function<void()> work) {
  milliseconds_worked += milliseconds;
  work();
}

extern "C" {

CUresult cuInit(unsigned) { return CUDA_SUCCESS; }
CUresult cuGetErrorName(CUresult, const char** text) {
  *text = "CUDA_ERROR";
  return CUDA_SUCCESS;
}
CUresult cuGetErrorString(CUresult, const char** text) {
  *text = "an error of the stand-in";
  return CUDA_SUCCESS;
}
CUresult cuDriverGetVersion(int* version) {
  *version = CUDA_VERSION;
  return CUDA_SUCCESS;
}
CUresult cuDeviceGetCount(int* count) {
  *count = kDevices;
  return CUDA_SUCCESS;
}
CUresult cuDeviceGet(CUdevice* device, int index) {
  *device = index;
  return index < kDevices ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}
CUresult cuDeviceGetName(char* name, int length, CUdevice) {
  std::snprintf(name, static_cast<size_t>(length), "CPU");
  return CUDA_SUCCESS;
}
CUresult cuDeviceGetAttribute(int* value, CUdevice_attribute what, CUdevice) {
  switch (what) {
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR:
      *value = 9;
      break;
    case CU_DEVICE_ATTRIBUTE_WARP_SIZE:
      *value = 32;
      break;
    case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT:
      *value = 2;  // few, so that kernels loop
      break;
    case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
    case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR:
      *value = 1024;
      break;
    default:
      *value = 0;
  }
  return CUDA_SUCCESS;
}
CUresult cuDeviceTotalMem(size_t* bytes, CUdevice) {
  *bytes = kMemory;
  return CUDA_SUCCESS;
}
CUresult cuDeviceGetUuid(CUuuid* uuid, CUdevice) {
  std::memset(uuid, 0, sizeof *uuid);
  return CUDA_SUCCESS;
}
CUresult cuDeviceCanAccessPeer(int* can, CUdevice, CUdevice) {
  *can = 0;
  return CUDA_SUCCESS;
}
CUresult cuDevicePrimaryCtxRetain(CUcontext* made, CUdevice device) {
  static char contexts[kDevices];
  *made = reinterpret_cast<CUcontext>(&contexts[device]);
  return CUDA_SUCCESS;
}
CUresult cuCtxSetCurrent(CUcontext c) {
  context = c;
  return CUDA_SUCCESS;
}
CUresult cuCtxGetCurrent(CUcontext* c) {
  *c = context;
  return CUDA_SUCCESS;
}
CUresult cuCtxSynchronize() { return CUDA_SUCCESS; }

CUresult cuMemAlloc(CUdeviceptr* p, size_t bytes) {
  return allocate(reinterpret_cast<void**>(p), bytes);
}
CUresult cuMemFree(CUdeviceptr p) {
  std::free(memory(p));
  return CUDA_SUCCESS;
}
CUresult cuMemGetInfo(size_t* free, size_t* total) {
  *free = *total = kMemory;
  return CUDA_SUCCESS;
}
CUresult cuMemHostAlloc(void** p, size_t bytes, unsigned) { return allocate(p, bytes); }
CUresult cuMemFreeHost(void* p) {
  std::free(p);
  return CUDA_SUCCESS;
}
CUresult cuMemcpyHtoDAsync(CUdeviceptr to, const void* from, size_t bytes, CUstream) {
  std::memcpy(memory(to), from, bytes);
  return CUDA_SUCCESS;
}
CUresult cuMemcpyDtoHAsync(void* to, CUdeviceptr from, size_t bytes, CUstream) {
  std::memcpy(to, source(from), bytes);
  return CUDA_SUCCESS;
}
CUresult cuMemcpyDtoDAsync(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream) {
  std::memmove(memory(to), source(from), bytes);
  return CUDA_SUCCESS;
}
CUresult cuMemcpyPeerAsync(CUdeviceptr to, CUcontext, CUdeviceptr from, CUcontext, size_t bytes,
                           CUstream stream) {
  return cuMemcpyDtoDAsync(to, from, bytes, stream);
}
CUresult cuMemsetD8Async(CUdeviceptr p, unsigned char v, size_t n, CUstream) {
  return fill(p, v, n);
}
CUresult cuMemsetD16Async(CUdeviceptr p, unsigned short v, size_t n, CUstream) {
  return fill(p, v, n);
}
CUresult cuMemsetD32Async(CUdeviceptr p, unsigned v, size_t n, CUstream) { return fill(p, v, n); }

CUresult cuCtxGetStreamPriorityRange(int* least, int* greatest) {
  *least = *greatest = 0;
  return CUDA_SUCCESS;
}
CUresult cuStreamCreateWithPriority(CUstream* made, unsigned, int) {
  *made = some_handle<CUstream>();
  return CUDA_SUCCESS;
}
CUresult cuStreamSynchronize(CUstream) { return CUDA_SUCCESS; }
CUresult cuStreamQuery(CUstream) { return CUDA_SUCCESS; }
CUresult cuStreamWaitEvent(CUstream, CUevent, unsigned) { return CUDA_SUCCESS; }
CUresult cuEventCreate(CUevent* made, unsigned) {
  *made = reinterpret_cast<CUevent>(new double(0));
  return CUDA_SUCCESS;
}
CUresult cuEventDestroy(CUevent e) {
  delete reinterpret_cast<double*>(e);
  return CUDA_SUCCESS;
}
CUresult cuEventRecord(CUevent e, CUstream) {
  *reinterpret_cast<double*>(e) = milliseconds_worked;
  return CUDA_SUCCESS;
}
CUresult cuEventQuery(CUevent) { return CUDA_SUCCESS; }
CUresult cuEventSynchronize(CUevent) { return CUDA_SUCCESS; }
CUresult cuEventElapsedTime(float* milliseconds, CUevent first, CUevent last) {
  const auto at = [](CUevent e) { return *reinterpret_cast<double*>(e); };
  *milliseconds = static_cast<float>(at(last) - at(first));
  return CUDA_SUCCESS;
}

CUresult cuModuleLoadData(CUmodule* made, const void*) {
  *made = some_handle<CUmodule>();
  return CUDA_SUCCESS;
}
CUresult cuModuleGetFunction(CUfunction* found, CUmodule, const char* name) {
  *found = reinterpret_cast<CUfunction>(new Kernel{name});
  return CUDA_SUCCESS;
}
CUresult cuFuncGetName(const char** name, CUfunction f) {
  *name = reinterpret_cast<const Kernel*>(f)->name.c_str();
  return CUDA_SUCCESS;
}
CUresult cuLaunchKernel(CUfunction f, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                        unsigned block_x, unsigned block_y, unsigned block_z, unsigned, CUstream,
                        void** arguments, void**) {
  const uint32_t grid[] = {grid_x, grid_y, grid_z}, block[] = {block_x, block_y, block_z};
  if (grid_x * grid_y * grid_z == 0 || block_x * block_y * block_z > 1024) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  const std::string& name = reinterpret_cast<const Kernel*>(f)->name;
  const char* wrong = run_kernel(name.c_str(), grid, block, arguments);
  if (wrong == nullptr) return CUDA_SUCCESS;
  std::fprintf(stderr, "cuda_on_cpu: %s: %s\n", name.c_str(), wrong);
  return CUDA_ERROR_LAUNCH_FAILED;
}

}  // extern "C"
