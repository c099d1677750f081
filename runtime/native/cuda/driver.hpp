// The CUDA driver, opened at run time: nothing of CUDA is linked.
#pragma once
#include <cuda.h>

#include <string>

namespace ostinato::cuda {

// Every driver function that the runtime calls, by its name in cuda.h.
#define OSTINATO_DRIVER_FUNCTIONS(X)   \
  X(cuInit)                            \
  X(cuGetErrorName)                    \
  X(cuGetErrorString)                  \
  X(cuDriverGetVersion)                \
  X(cuDeviceGetCount)                  \
  X(cuDeviceGet)                       \
  X(cuDeviceGetName)                   \
  X(cuDeviceGetAttribute)              \
  X(cuDeviceTotalMem)                  \
  X(cuDeviceGetUuid)                   \
  X(cuDeviceCanAccessPeer)             \
  X(cuDevicePrimaryCtxRetain)          \
  X(cuCtxSetCurrent)                   \
  X(cuCtxGetCurrent)                   \
  X(cuCtxSynchronize)                  \
  X(cuCtxEnablePeerAccess)             \
  X(cuCtxGetStreamPriorityRange)       \
  X(cuMemAlloc)                        \
  X(cuMemFree)                         \
  X(cuMemGetInfo)                      \
  X(cuMemHostAlloc)                    \
  X(cuMemFreeHost)                     \
  X(cuMemcpyHtoDAsync)                 \
  X(cuMemcpyDtoHAsync)                 \
  X(cuMemcpyDtoDAsync)                 \
  X(cuMemcpyPeerAsync)                 \
  X(cuMemsetD8Async)                   \
  X(cuMemsetD16Async)                  \
  X(cuMemsetD32Async)                  \
  X(cuStreamCreateWithPriority)        \
  X(cuStreamSynchronize)               \
  X(cuStreamQuery)                     \
  X(cuStreamWaitEvent)                 \
  X(cuStreamBeginCapture)              \
  X(cuStreamEndCapture)                \
  X(cuThreadExchangeStreamCaptureMode) \
  X(cuEventCreate)                     \
  X(cuEventDestroy)                    \
  X(cuEventRecord)                     \
  X(cuEventQuery)                      \
  X(cuEventSynchronize)                \
  X(cuEventElapsedTime)                \
  X(cuModuleLoadData)                  \
  X(cuModuleUnload)                    \
  X(cuModuleGetFunction)               \
  X(cuFuncSetAttribute)                \
  X(cuFuncGetName)                     \
  X(cuLaunchKernel)                    \
  X(cuGraphCreate)                     \
  X(cuGraphDestroy)                    \
  X(cuGraphAddKernelNode)              \
  X(cuGraphAddChildGraphNode)          \
  X(cuGraphAddDependencies)            \
  X(cuGraphGetNodes)                   \
  X(cuGraphNodeGetType)                \
  X(cuGraphNodeGetDependencies)        \
  X(cuGraphNodeGetDependentNodes)      \
  X(cuGraphMemsetNodeGetParams)        \
  X(cuGraphDestroyNode)                \
  X(cuGraphInstantiate)                \
  X(cuGraphLaunch)                     \
  X(cuGraphExecDestroy)                \
  X(cuGraphNodeSetEnabled)             \
  X(cuGraphExecKernelNodeSetParams)    \
  X(cuGraphExecChildGraphNodeSetParams)

struct Driver {
#define OSTINATO_DECLARE(name) decltype(&::name) name##_ = nullptr;
  OSTINATO_DRIVER_FUNCTIONS(OSTINATO_DECLARE)
#undef OSTINATO_DECLARE
};

// The driver, initialised. Throws Error (device) naming what is missing where there is none.
const Driver& driver();
// The same, null where that throws.
const Driver* usable_driver() noexcept;
// Whether there is a driver and a device that it runs.
bool is_available();
// Throws Error (device) with the driver's name and text of `result`; `what` failed.
[[noreturn]] void fail(CUresult result, const std::string& what);
inline void check(CUresult result, const char* what) {
  if (result != CUDA_SUCCESS) [[unlikely]]
    fail(result, what);
}

// `OSTINATO_CUDA(cuMemFree, p)` calls and checks.
#define OSTINATO_CUDA(name, ...) \
  ::ostinato::cuda::check(::ostinato::cuda::driver().name##_(__VA_ARGS__), #name)

}  // namespace ostinato::cuda
