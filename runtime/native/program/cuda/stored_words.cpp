#include "program/cuda/stored_words.hpp"

#include <algorithm>
#include <limits>
#include <optional>
#include <vector>

#include "cuda/driver.hpp"
#include "cuda/kernels/slots.hpp"
#include "cuda/launch.hpp"

namespace ostinato {
namespace {

using cuda::driver;
using Nodes = std::vector<CUgraphNode>;

constexpr uint32_t kThreads = 256;
constexpr uint32_t kMostBlocks = 512;
constexpr uint32_t kEachByte = 0x01010101;

cuda::KernelName store_word{"slots", "store_word"};

std::optional<cuda::WordParams> words_of(CUgraphNode node) {
  CUDA_MEMSET_NODE_PARAMS p;
  OSTINATO_CUDA(cuGraphMemsetNodeGetParams, node, &p);
  const size_t bytes = p.width * p.elementSize, word = sizeof(uint32_t);
  const bool whole = bytes % word == 0 && p.dst % word == 0;
  if (p.height != 1 || !whole || p.elementSize == 2) return {};
  if (bytes / word > std::numeric_limits<uint32_t>::max()) return {};
  const uint32_t value = p.elementSize == 1 ? (p.value & 0xff) * kEachByte : p.value;
  return cuda::WordParams{reinterpret_cast<uint32_t*>(p.dst), static_cast<uint32_t>(bytes / word),
                          value};
}

template <class Get>
Nodes listed(Get get, const char* name) {
  size_t count = 0;
  cuda::check(get(nullptr, &count), name);
  Nodes found(count);
  if (count > 0) cuda::check(get(found.data(), &count), name);
  return found;
}

Nodes nodes_of(CUgraph graph) {
  return listed([&](CUgraphNode* to, size_t* n) { return driver().cuGraphGetNodes_(graph, to, n); },
                "cuGraphGetNodes");
}

Nodes before(CUgraphNode node) {
  return listed(
      [&](CUgraphNode* to, size_t* n) {
        return driver().cuGraphNodeGetDependencies_(node, to, nullptr, n);
      },
      "cuGraphNodeGetDependencies");
}

Nodes after(CUgraphNode node) {
  return listed(
      [&](CUgraphNode* to, size_t* n) {
        return driver().cuGraphNodeGetDependentNodes_(node, to, nullptr, n);
      },
      "cuGraphNodeGetDependentNodes");
}

CUgraphNode add_kernel(CUgraph graph, const Nodes& waits, cuda::WordParams words, int device) {
  void* arguments[] = {&words};
  CUDA_KERNEL_NODE_PARAMS p = {};
  p.func = store_word.on(device);
  p.gridDimX = std::clamp((words.count + kThreads - 1) / kThreads, 1u, kMostBlocks);
  p.gridDimY = p.gridDimZ = 1;
  p.blockDimX = kThreads;
  p.blockDimY = p.blockDimZ = 1;
  p.kernelParams = arguments;
  CUgraphNode made = nullptr;
  OSTINATO_CUDA(cuGraphAddKernelNode, &made, graph, waits.data(), waits.size(), &p);
  return made;
}

}  // namespace

void store_words_by_kernels(CUgraph graph, int device) {
  for (CUgraphNode node : nodes_of(graph)) {
    CUgraphNodeType type;
    OSTINATO_CUDA(cuGraphNodeGetType, node, &type);
    if (type != CU_GRAPH_NODE_TYPE_MEMSET) continue;
    const std::optional<cuda::WordParams> words = words_of(node);
    if (!words) continue;
    const Nodes waiting = after(node);
    const Nodes made(waiting.size(), add_kernel(graph, before(node), *words, device));
    if (!made.empty()) {
      OSTINATO_CUDA(cuGraphAddDependencies, graph, made.data(), waiting.data(), nullptr,
                    made.size());
    }
    OSTINATO_CUDA(cuGraphDestroyNode, node);
  }
}

}  // namespace ostinato
