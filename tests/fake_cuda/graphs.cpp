// The functions of the fake driver for graphs and their capture.
#include "graphs.hpp"

#include <algorithm>
#include <utility>

#include "state.hpp"

using fake::Call;
using fake::id_of;
using fake::state;

namespace {

// The nodes that a new one comes after, less an edge that a test has planned to lose.
std::vector<CUgraphNode> given(const CUgraphNode* nodes, size_t count) {
  std::vector<CUgraphNode> before(nodes, nodes + count);
  int& left = state().edges_until_lost;
  if (left > static_cast<int>(count)) {
    left -= static_cast<int>(count);
  } else if (left > 0) {
    before.erase(before.begin() + left - 1);
    left = 0;
  }
  return before;
}

CUresult answer(CUgraphNode* to, size_t* count, const std::vector<CUgraphNode>& found) {
  if (to != nullptr) std::copy_n(found.begin(), std::min(*count, found.size()), to);
  *count = found.size();
  return CUDA_SUCCESS;
}

CUgraph graph_of(CUgraphNode node) {
  for (CUgraph g : state().graphs) {
    for (const auto& n : g->nodes) {
      if (n.get() == node) return g;
    }
  }
  return nullptr;
}

// The node of `exec` that was made of `node`.
CUgraphNode twin(CUgraphExec exec, CUgraphNode node) {
  const auto it = exec->copies.find(node);
  return it == exec->copies.end() ? nullptr : it->second;
}

CUgraph new_graph() {
  auto* made = new CUgraph_st;
  state().graphs.insert(made);
  return made;
}

}  // namespace

FAKE_EXPORT CUresult cuStreamBeginCapture(CUstream stream, CUstreamCaptureMode) {
  const Call call("cuStreamBeginCapture");
  if (call.fails()) return call.log(id_of(stream));
  if (stream->capturing != nullptr) return CUDA_ERROR_ILLEGAL_STATE;
  stream->capturing = new_graph();
  return call.log(id_of(stream));
}

FAKE_EXPORT CUresult cuStreamEndCapture(CUstream stream, CUgraph* made) {
  const Call call("cuStreamEndCapture");
  if (stream->capturing == nullptr) return CUDA_ERROR_ILLEGAL_STATE;
  *made = std::exchange(stream->capturing, nullptr);
  if (call.fails()) {  // the graph is gone, as after a capture that went wrong
    state().graphs.erase(*made);
    delete *made;
    *made = nullptr;
  }
  return call.log(id_of(stream));
}

FAKE_EXPORT CUresult cuGraphCreate(CUgraph* made, unsigned) {
  const Call call("cuGraphCreate");
  if (!call.fails()) *made = new_graph();
  return call.log();
}

FAKE_EXPORT CUresult cuGraphDestroy(CUgraph graph) {
  const Call call("cuGraphDestroy");
  if (state().graphs.erase(graph) == 0) return CUDA_ERROR_INVALID_VALUE;
  delete graph;
  return call.log();
}

FAKE_EXPORT CUresult cuGraphAddKernelNode(CUgraphNode* made, CUgraph graph,
                                          const CUgraphNode* before, size_t count,
                                          const CUDA_KERNEL_NODE_PARAMS* params) {
  const Call call("cuGraphAddKernelNode");
  if (!call.fails()) {
    *made = graph->add(CU_GRAPH_NODE_TYPE_KERNEL, given(before, count), fake::described(*params));
    (*made)->function = params->func;
    (*made)->arguments = fake::arguments_of(*params);
  }
  return call.log(params->func->name);
}

FAKE_EXPORT CUresult cuGraphAddChildGraphNode(CUgraphNode* made, CUgraph graph,
                                              const CUgraphNode* before, size_t count,
                                              CUgraph child) {
  const Call call("cuGraphAddChildGraphNode");
  if (!call.fails()) {
    std::map<CUgraphNode, CUgraphNode> copies;
    *made = graph->add(CU_GRAPH_NODE_TYPE_GRAPH, given(before, count), "child");
    (*made)->child = child->copy(copies);
  }
  return call.log(child->nodes.size());
}

FAKE_EXPORT CUresult cuGraphAddDependencies(CUgraph, const CUgraphNode* from, const CUgraphNode* to,
                                            const CUgraphEdgeData*, size_t count) {
  const Call call("cuGraphAddDependencies");
  for (size_t i = 0; i < count && !call.fails(); ++i) to[i]->before.push_back(from[i]);
  return call.log(count);
}

FAKE_EXPORT CUresult cuGraphGetNodes(CUgraph graph, CUgraphNode* to, size_t* count) {
  const Call call("cuGraphGetNodes");
  if (call.fails()) return call.result();
  std::vector<CUgraphNode> all;
  for (const auto& n : graph->nodes) all.push_back(n.get());
  return answer(to, count, all);
}

FAKE_EXPORT CUresult cuGraphNodeGetType(CUgraphNode node, CUgraphNodeType* type) {
  const Call call("cuGraphNodeGetType");
  *type = node->type;
  return call.result();
}

FAKE_EXPORT CUresult cuGraphNodeGetDependencies(CUgraphNode node, CUgraphNode* to, CUgraphEdgeData*,
                                                size_t* count) {
  const Call call("cuGraphNodeGetDependencies");
  return call.fails() ? call.result() : answer(to, count, node->before);
}

FAKE_EXPORT CUresult cuGraphNodeGetDependentNodes(CUgraphNode node, CUgraphNode* to,
                                                  CUgraphEdgeData*, size_t* count) {
  const Call call("cuGraphNodeGetDependentNodes");
  if (call.fails()) return call.result();
  std::vector<CUgraphNode> found;
  for (const auto& n : graph_of(node)->nodes) {
    if (std::find(n->before.begin(), n->before.end(), node) != n->before.end()) {
      found.push_back(n.get());
    }
  }
  return answer(to, count, found);
}

FAKE_EXPORT CUresult cuGraphMemsetNodeGetParams(CUgraphNode node, CUDA_MEMSET_NODE_PARAMS* params) {
  const Call call("cuGraphMemsetNodeGetParams");
  *params = node->memset;
  return call.result();
}

FAKE_EXPORT CUresult cuGraphDestroyNode(CUgraphNode node) {
  const Call call("cuGraphDestroyNode");
  if (call.fails()) return call.log();
  CUgraph graph = graph_of(node);
  for (const auto& n : graph->nodes) std::erase(n->before, node);
  std::erase_if(graph->nodes, [node](const auto& n) { return n.get() == node; });
  return call.log();
}

FAKE_EXPORT CUresult cuGraphInstantiate(CUgraphExec* made, CUgraph graph, unsigned long long) {
  const Call call("cuGraphInstantiate");
  if (!call.fails()) {
    *made = new CUgraphExec_st{state().next_exec++, nullptr, {}};
    (*made)->graph = graph->copy((*made)->copies);
    state().execs.insert(*made);
    ++state().live["execs"];
  }
  return call.log(graph->nodes.size());
}

FAKE_EXPORT CUresult cuGraphExecDestroy(CUgraphExec exec) {
  const Call call("cuGraphExecDestroy");
  if (state().execs.erase(exec) == 0) return CUDA_ERROR_INVALID_VALUE;
  --state().live["execs"];
  delete exec;
  return call.log();
}

FAKE_EXPORT CUresult cuGraphExecKernelNodeSetParams(CUgraphExec exec, CUgraphNode node,
                                                    const CUDA_KERNEL_NODE_PARAMS* params) {
  const Call call("cuGraphExecKernelNodeSetParams");
  if (call.fails()) return call.log(params->func->name);
  CUgraphNode made = twin(exec, node);
  if (made == nullptr || made->function != params->func) return CUDA_ERROR_INVALID_VALUE;
  made->text = fake::described(*params);
  made->arguments = fake::arguments_of(*params);
  return call.log(params->func->name);
}

FAKE_EXPORT CUresult cuGraphNodeSetEnabled(CUgraphExec exec, CUgraphNode node,
                                           unsigned int enabled) {
  const Call call("cuGraphNodeSetEnabled");
  CUgraphNode made = twin(exec, node);
  if (call.fails()) return call.log();
  if (made == nullptr || made->type != CU_GRAPH_NODE_TYPE_KERNEL) return CUDA_ERROR_INVALID_VALUE;
  made->enabled = enabled != 0;
  return call.log(made->function->name, "enabled", enabled);
}

// As of the driver, a child must be like the one before.
FAKE_EXPORT CUresult cuGraphExecChildGraphNodeSetParams(CUgraphExec exec, CUgraphNode node,
                                                        CUgraph child) {
  const Call call("cuGraphExecChildGraphNodeSetParams");
  if (call.fails()) return call.log(child->nodes.size());
  CUgraphNode made = twin(exec, node);
  if (made == nullptr || !made->child) return CUDA_ERROR_INVALID_VALUE;
  if (!made->child->is_like(*child)) return CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE;
  std::map<CUgraphNode, CUgraphNode> copies;
  made->child = child->copy(copies);
  return call.log(child->nodes.size());
}

FAKE_EXPORT CUresult cuGraphLaunch(CUgraphExec exec, CUstream stream) {
  const Call call("cuGraphLaunch");
  if (!call.fails()) {
    state().timeline.begin(id_of(stream));
    state().now += 1;
    exec->graph->run();
  }
  return call.log(exec->id, "stream", id_of(stream));
}

// The graph that was instantiated last and is still there, as it would run now.
FAKE_EXPORT const char* fake_graph() {
  const std::lock_guard lock(state().mutex);
  CUgraphExec last = nullptr;
  for (CUgraphExec e : state().execs) {
    if (last == nullptr || e->id > last->id) last = e;
  }
  state().text = last != nullptr ? last->graph->described() : "";
  return state().text.c_str();
}

// Of the edges that come with nodes from now on, the `nth` is lost.
FAKE_EXPORT void fake_lose_edge(int nth) {
  const std::lock_guard lock(state().mutex);
  state().edges_until_lost = nth;
}

// How many handles of each kind there are.
FAKE_EXPORT const char* fake_live() {
  const std::lock_guard lock(state().mutex);
  std::ostringstream text;
  for (const auto& [kind, count] : state().live) text << kind << ' ' << count << '\n';
  state().text = text.str();
  return state().text.c_str();
}
