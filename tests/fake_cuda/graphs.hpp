// Graphs of the fake driver: nodes that are noted, and that do their work when the graph is
// launched.
#pragma once
#include <cuda.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

struct CUgraphNode_st {
  int number = 0;  // in its graph
  CUgraphNodeType type = CU_GRAPH_NODE_TYPE_EMPTY;
  std::vector<CUgraphNode> before;
  std::string text;  // the kernel and its grid, or what a copy or a set does
  CUfunction function = nullptr;
  std::vector<CUdeviceptr> arguments;  // of a kernel whose cubin says how many there are
  std::unique_ptr<CUgraph_st> child;
  CUDA_MEMSET_NODE_PARAMS memset = {};
  std::function<void()> work;
  bool enabled = true;
};

struct CUgraph_st {
  CUgraph_st();
  ~CUgraph_st();

  int next = 0;
  std::vector<std::unique_ptr<CUgraphNode_st>> nodes;

  CUgraphNode add(CUgraphNodeType type, std::vector<CUgraphNode> before, std::string text);
  // The copy of each node is noted in `copies`.
  std::unique_ptr<CUgraph_st> copy(std::map<CUgraphNode, CUgraphNode>& copies) const;
  // Whether the nodes of both are of the same kinds, and lead to each other alike.
  bool is_like(const CUgraph_st& other) const;
  // Does the work of all nodes; of those that may go next the last comes first, so that a missing
  // edge shows.
  void run() const;
  // A line each node, those of a child below its own and further right.
  std::string described(const std::string& indent = "") const;
};

struct CUgraphExec_st {
  int id = 0;
  std::unique_ptr<CUgraph_st> graph;
  std::map<CUgraphNode, CUgraphNode> copies;  // by the node that was instantiated
};

namespace fake {

// A kernel as a node or a launch names it.
std::string described(const CUDA_KERNEL_NODE_PARAMS& params);
// The pointers that `params` hold now, where the kernel's cubin says how many.
std::vector<CUdeviceptr> arguments_of(const CUDA_KERNEL_NODE_PARAMS& params);
// Whether a module is for one kind of device, and not compressed.
bool is_cubin(const void* image);
// How many parameters `kernel` has by its cubin at `image`; 0 where there is none.
int count_parameters(const void* image, const std::string& kernel);

}  // namespace fake
