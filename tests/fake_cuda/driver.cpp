// A libcuda over host memory, for tests without a GPU: copies happen at once, kernels are only
// noted.
#include <cstring>

#include "state.hpp"

using fake::Call;
using fake::id_of;
using fake::state;

namespace {

// The region that `address` lies in, or null.
const fake::Region* region_of(CUdeviceptr address) {
  auto it = state().regions.upper_bound(address);
  if (it == state().regions.begin()) return nullptr;
  --it;
  return address < it->first + it->second.bytes ? &it->second : nullptr;
}

bool holds(CUdeviceptr address, size_t bytes) {
  const fake::Region* region = region_of(address);
  return region != nullptr && region_of(address + (bytes > 0 ? bytes - 1 : 0)) == region;
}

CUdeviceptr pinned(const void* host) {
  const auto address = reinterpret_cast<CUdeviceptr>(host);
  const fake::Region* region = region_of(address);
  return region != nullptr && region->device < 0 ? address : 0;
}

void copy(CUstream stream, void* to, const void* from, CUdeviceptr written, CUdeviceptr read,
          size_t bytes) {
  fake::queue(stream, CU_GRAPH_NODE_TYPE_MEMCPY, "copy", written, read, bytes,
              [=] { std::memcpy(to, from, bytes); });
}

template <class T>
CUresult fill(const Call& call, CUdeviceptr at, T value, size_t count, CUstream stream) {
  if (!call.fails()) {
    if (!holds(at, count * sizeof(T))) return CUDA_ERROR_INVALID_VALUE;
    CUgraphNode node =
        fake::queue(stream, CU_GRAPH_NODE_TYPE_MEMSET, "set", at, 0, count * sizeof(T),
                    [=] { std::fill_n(reinterpret_cast<T*>(at), count, value); });
    if (node != nullptr) node->memset = {at, 0, value, sizeof(T), count, 1};
  }
  return call.log(count, "of", static_cast<uint64_t>(value), "stream", id_of(stream));
}

CUresult allocate(void** made, size_t bytes, int device) {
  *made = std::aligned_alloc(512, (bytes + 511) / 512 * 512);
  if (*made == nullptr) return CUDA_ERROR_OUT_OF_MEMORY;
  std::memset(*made, 0xA5, bytes);
  state().regions[reinterpret_cast<CUdeviceptr>(*made)] = {bytes, device};
  return CUDA_SUCCESS;
}

CUresult release(CUdeviceptr address) {
  const auto it = state().regions.find(address);
  if (it == state().regions.end()) return CUDA_ERROR_INVALID_VALUE;
  if (it->second.device >= 0) state().used[it->second.device] -= it->second.bytes;
  state().regions.erase(it);
  std::free(reinterpret_cast<void*>(address));
  return CUDA_SUCCESS;
}

}  // namespace

CUgraphNode fake::queue(CUstream stream, CUgraphNodeType type, const std::string& text,
                        CUdeviceptr written, CUdeviceptr read, size_t bytes,
                        std::function<void()> work) {
  const int id = id_of(stream);
  if (CUgraph graph = id > 0 ? stream->capturing : nullptr) {
    std::vector<CUgraphNode> before;
    if (!graph->nodes.empty()) before = {graph->nodes.back().get()};
    CUgraphNode made = graph->add(type, before, text);
    made->work = std::move(work);
    return made;
  }
  State& s = state();
  s.timeline.begin(id);
  s.now += 1;
  if (written != 0) s.timeline.access(id, written, bytes, true);
  if (read != 0) s.timeline.access(id, read, bytes, false);
  if (work) work();
  return nullptr;
}

FAKE_EXPORT CUresult cuInit(unsigned) { return Call("cuInit").log(); }

FAKE_EXPORT CUresult cuGetErrorName(CUresult error, const char** name) {
  static std::map<CUresult, const char*> names = {
      {CUDA_ERROR_OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY"},
      {CUDA_ERROR_LAUNCH_FAILED, "CUDA_ERROR_LAUNCH_FAILED"},
      {CUDA_ERROR_ILLEGAL_ADDRESS, "CUDA_ERROR_ILLEGAL_ADDRESS"},
      {CUDA_ERROR_INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE"},
      {CUDA_ERROR_NO_BINARY_FOR_GPU, "CUDA_ERROR_NO_BINARY_FOR_GPU"},
      {CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE, "CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE"},
      {CUDA_ERROR_NO_DEVICE, "CUDA_ERROR_NO_DEVICE"}};
  const auto it = names.find(error);
  if (it == names.end()) return CUDA_ERROR_INVALID_VALUE;
  *name = it->second;
  return CUDA_SUCCESS;
}

FAKE_EXPORT CUresult cuGetErrorString(CUresult, const char** text) {
  *text = "a planned failure";
  return CUDA_SUCCESS;
}

FAKE_EXPORT CUresult cuDriverGetVersion(int* version) {
  *version = fake::from_environment("FAKE_CUDA_VERSION", CUDA_VERSION);
  return CUDA_SUCCESS;
}

FAKE_EXPORT CUresult cuDeviceGetCount(int* count) {
  *count = state().devices;
  return CUDA_SUCCESS;
}

FAKE_EXPORT CUresult cuDeviceGet(CUdevice* device, int ordinal) {
  *device = ordinal;
  return ordinal < state().devices ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

FAKE_EXPORT CUresult cuDeviceGetName(char* name, int length, CUdevice device) {
  std::snprintf(name, static_cast<size_t>(length), "Fake GPU %d", device);
  return CUDA_SUCCESS;
}

FAKE_EXPORT CUresult cuDeviceGetAttribute(int* value, CUdevice_attribute which, CUdevice) {
  static const std::map<CUdevice_attribute, int> known = {
      {CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, 9},
      {CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, 0},
      {CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, 132},
      {CU_DEVICE_ATTRIBUTE_WARP_SIZE, 32},
      {CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK, 1024},
      {CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR, 2048},
      {CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, 232448},
      {CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE, 50 << 20}};
  const auto it = known.find(which);
  *value = it == known.end() ? 0 : it->second;
  return CUDA_SUCCESS;
}

FAKE_EXPORT CUresult cuDeviceTotalMem(size_t* bytes, CUdevice) {
  *bytes = state().memory;
  return CUDA_SUCCESS;
}

FAKE_EXPORT CUresult cuDeviceGetUuid(CUuuid* uuid, CUdevice device) {
  for (int i = 0; i < 16; ++i) uuid->bytes[i] = static_cast<char>(16 * device + i);
  return CUDA_SUCCESS;
}

FAKE_EXPORT CUresult cuDeviceCanAccessPeer(int* can, CUdevice, CUdevice) {
  *can = 1;
  return CUDA_SUCCESS;
}

FAKE_EXPORT CUresult cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice device) {
  const Call call("cuDevicePrimaryCtxRetain");
  *context = &state().contexts[device];
  (*context)->device = device;
  return call.log(device);
}

FAKE_EXPORT CUresult cuCtxSetCurrent(CUcontext context) {
  fake::current = context;
  return Call("cuCtxSetCurrent").log(context->device);
}

FAKE_EXPORT CUresult cuCtxGetCurrent(CUcontext* context) {
  *context = fake::current;
  return CUDA_SUCCESS;
}

FAKE_EXPORT CUresult cuCtxSynchronize() {
  const Call call("cuCtxSynchronize");
  if (!call.fails()) state().timeline.learn_all();
  return call.log();
}

FAKE_EXPORT CUresult cuCtxEnablePeerAccess(CUcontext peer, unsigned) {
  return Call("cuCtxEnablePeerAccess").log(peer->device);
}

FAKE_EXPORT CUresult cuMemAlloc(CUdeviceptr* made, size_t bytes) {
  const Call call("cuMemAlloc");
  if (call.fails()) return call.log(bytes);
  const int device = fake::current->device;
  size_t& used = state().used[device];
  if (used + bytes > state().memory) {
    call.log(bytes, "refused");
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  used += bytes;
  call.log(bytes);
  return allocate(reinterpret_cast<void**>(made), bytes, device);
}

FAKE_EXPORT CUresult cuMemFree(CUdeviceptr address) {
  const Call call("cuMemFree");
  if (call.fails()) return call.log();
  state().timeline.learn_all();
  const fake::Region* region = region_of(address);
  call.log(region != nullptr ? region->bytes : 0);
  return release(address);
}

FAKE_EXPORT CUresult cuMemGetInfo(size_t* free, size_t* total) {
  *total = state().memory;
  *free = state().memory - state().used[fake::current->device];
  return CUDA_SUCCESS;
}

FAKE_EXPORT CUresult cuMemHostAlloc(void** made, size_t bytes, unsigned) {
  const Call call("cuMemHostAlloc");
  call.log(bytes);
  return call.fails() ? call.result() : allocate(made, bytes, -1);
}

FAKE_EXPORT CUresult cuMemFreeHost(void* host) {
  const Call call("cuMemFreeHost");
  call.log();
  return call.fails() ? call.result() : release(reinterpret_cast<CUdeviceptr>(host));
}

FAKE_EXPORT CUresult cuMemcpyHtoDAsync(CUdeviceptr to, const void* from, size_t bytes,
                                       CUstream stream) {
  const Call call("cuMemcpyHtoDAsync");
  if (!call.fails()) {
    if (!holds(to, bytes)) return CUDA_ERROR_INVALID_VALUE;
    copy(stream, reinterpret_cast<void*>(to), from, to, pinned(from), bytes);
  }
  return call.log(bytes, "stream", id_of(stream));
}

FAKE_EXPORT CUresult cuMemcpyDtoHAsync(void* to, CUdeviceptr from, size_t bytes, CUstream stream) {
  const Call call("cuMemcpyDtoHAsync");
  if (!call.fails()) {
    if (!holds(from, bytes)) return CUDA_ERROR_INVALID_VALUE;
    copy(stream, to, reinterpret_cast<void*>(from), pinned(to), from, bytes);
    // Memory that is not pinned is there when the call returns.
    if (pinned(to) == 0) state().timeline.learn(state().timeline.of(id_of(stream)));
  }
  return call.log(bytes, "stream", id_of(stream));
}

FAKE_EXPORT CUresult cuMemcpyDtoDAsync(CUdeviceptr to, CUdeviceptr from, size_t bytes,
                                       CUstream stream) {
  const Call call("cuMemcpyDtoDAsync");
  if (!call.fails()) {
    if (!holds(to, bytes) || !holds(from, bytes)) return CUDA_ERROR_INVALID_VALUE;
    copy(stream, reinterpret_cast<void*>(to), reinterpret_cast<void*>(from), to, from, bytes);
  }
  return call.log(bytes, "stream", id_of(stream));
}

FAKE_EXPORT CUresult cuMemcpyPeerAsync(CUdeviceptr to, CUcontext target, CUdeviceptr from,
                                       CUcontext source, size_t bytes, CUstream stream) {
  const Call call("cuMemcpyPeerAsync");
  if (!call.fails()) {
    if (!holds(to, bytes) || !holds(from, bytes)) return CUDA_ERROR_INVALID_VALUE;
    copy(stream, reinterpret_cast<void*>(to), reinterpret_cast<void*>(from), to, from, bytes);
  }
  return call.log(bytes, "device", source->device, "to", target->device, "stream", id_of(stream));
}

FAKE_EXPORT CUresult cuMemsetD8Async(CUdeviceptr at, unsigned char value, size_t count,
                                     CUstream stream) {
  return fill(Call("cuMemsetD8Async"), at, value, count, stream);
}

FAKE_EXPORT CUresult cuMemsetD16Async(CUdeviceptr at, unsigned short value, size_t count,
                                      CUstream stream) {
  return fill(Call("cuMemsetD16Async"), at, value, count, stream);
}

FAKE_EXPORT CUresult cuMemsetD32Async(CUdeviceptr at, unsigned value, size_t count,
                                      CUstream stream) {
  return fill(Call("cuMemsetD32Async"), at, value, count, stream);
}
