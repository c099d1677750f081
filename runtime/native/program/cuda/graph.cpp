#include "program/cuda/graph.hpp"

#include <cstdlib>
#include <string>

#include "cuda/driver.hpp"
#include "cuda/memory.hpp"
#include "program/cuda/stored_words.hpp"

namespace ostinato {
namespace {

// How many steps may run side by side: a launch takes the driver longer the more branches a graph
// has, and four keep a GPU as busy as any number (docs/decisions.md).
constexpr int kLanes = 4;

// Whether every graph is checked once it is built.
bool is_checking() {
  const char* given = std::getenv("OSTINATO_CHECK_GRAPH");
  return given && std::string_view(given) == "1";
}

// Makes `stream` the current one of its device.
class StreamScope {
 public:
  explicit StreamScope(const Ref<cuda::Stream>& stream)
      : before_(cuda::current_stream(stream->device())) {
    cuda::set_current_stream(stream);
  }
  ~StreamScope() { cuda::set_current_stream(before_); }
  StreamScope(const StreamScope&) = delete;
  StreamScope& operator=(const StreamScope&) = delete;

 private:
  Ref<cuda::Stream> before_;
};

class Accesses {
 public:
  explicit Accesses(const CompiledProgram& program) : program_(program) {}

  void add(int step, int tensor, bool writes) {
    if (tensor < 0) return;
    const Placed& p = program_.tensors[tensor];
    if (p.space == Space::constant || p.space == Space::host) return;
    if (p.space == Space::input && program_.inputs[p.place].host) return;
    if (p.space == Space::output && program_.outputs[p.place].host) return;
    int64_t low = p.start, high = p.start + 1;
    for (int i = 0; i < p.sizes.ssize(); ++i) {
      if (p.sizes[i] == 0) return;
      const int64_t reach = (p.sizes[i] - 1) * p.strides[i];
      (reach < 0 ? low : high) += reach;
    }
    const int64_t item = static_cast<int64_t>(size_of(p.dtype));
    const int64_t base = p.space == Space::arena ? p.place : 0;
    made.push_back({step, memory_of(p), base + low * item, base + high * item, writes});
  }

  std::vector<Access> made;

 private:
  // 0 is scratch memory, 1 the arena; then inputs and outputs.
  int memory_of(const Placed& p) const {
    if (p.space == Space::arena) return 1;
    const size_t first = p.space == Space::input ? 2 : 2 + program_.inputs.size();
    return static_cast<int>(first + static_cast<size_t>(p.place));
  }

  const CompiledProgram& program_;
};

}  // namespace

std::vector<Access> accesses_of(const CompiledProgram& program) {
  Accesses found(program);
  for (size_t i = 0; i < program.steps.size(); ++i) {
    const CompiledStep& step = program.steps[i];
    const int s = static_cast<int>(i);
    if (step.host) continue;
    const size_t reads = step.tensors.size() - static_cast<size_t>(step.writes);
    for (size_t t = 0; t < step.tensors.size(); ++t) found.add(s, step.tensors[t], t >= reads);
    for (int t : step.results) found.add(s, t, true);
  }
  return std::move(found.made);
}

CudaGraph::CudaGraph(const CompiledProgram& program, Memory& memory, CudaSteps& steps,
                     ProgramCounters& counters)
    : program_(program),
      memory_(memory),
      steps_(steps),
      counters_(counters),
      capturing_(cuda::Stream::make(program.device.index)),
      nodes_(program.steps.size()),
      disabled_(program.steps.size()) {
  build();
}

void CudaGraph::Destroy::operator()(CUgraph graph) const noexcept {
  if (const cuda::Driver* driver = cuda::usable_driver()) driver->cuGraphDestroy_(graph);
}

void CudaGraph::Destroy::operator()(CUgraphExec exec) const noexcept {
  if (const cuda::Driver* driver = cuda::usable_driver()) driver->cuGraphExecDestroy_(exec);
}

void CudaGraph::record_stream(const cuda::Stream& stream) const {
  for (const Ref<Storage>& piece : scratch_.pieces()) cuda::record_stream(*piece, stream);
}

// Library calls are captured first, since only that shows which of them want scratch memory: these
// run one after the other.
void CudaGraph::build() {
  std::vector<Captured> calls(program_.steps.size());
  std::vector<Access> accesses;
  size_t at = 0;
  const std::vector<Access> known = accesses_of(program_);
  for (size_t s = 0; s < program_.steps.size(); ++s) {
    const int step = static_cast<int>(s);
    while (at < known.size() && known[at].step == step) accesses.push_back(known[at++]);
    if (program_.steps[s].host) continue;
    if (steps_.reads_host(s)) {
      watched_.push_back(s);
      steps_.note_values(s);
    }
    if (program_.steps[s].kind != StepKind::call) continue;
    calls[s] = capture(s);
    if (calls[s].uses_scratch) accesses.push_back({step, 0, 0, 1, true});
  }
  const int count = static_cast<int>(program_.steps.size());
  const std::vector<StepEdge> edges = in_lanes(count, order_steps(count, accesses), kLanes);
  std::vector<std::vector<int>> after(program_.steps.size());
  for (const auto& [before, step] : edges) after[step].push_back(before);
  const auto done = [&](CUresult result) {
    if (result != CUDA_SUCCESS) cuda::fail(result, "making a graph of " + size_text());
  };
  CUgraph graph = nullptr;
  done(cuda::driver().cuGraphCreate_(&graph, 0));
  graph_.reset(graph);
  for (size_t s = 0; s < program_.steps.size(); ++s) {
    if (!program_.steps[s].host) add(s, after[s], calls[s].graph.get());
  }
  if (is_checking()) check(accesses, edges);
  CUgraphExec exec = nullptr;
  done(cuda::driver().cuGraphInstantiate_(&exec, graph_.get(), 0));
  exec_.reset(exec);
  memory_.settle();
  ++counters_.builds;
}

std::string CudaGraph::size_text() const {
  const size_t count = program_.steps.size();
  return std::to_string(count) + (count == 1 ? " step" : " steps");
}

void CudaGraph::check(std::span<const Access> accesses, std::span<const StepEdge> edges) const {
  const std::vector<StepEdge> missing =
      unordered_steps(static_cast<int>(program_.steps.size()), accesses, edges);
  if (missing.empty()) return;
  const auto [a, b] = missing.front();
  throw Error(ErrorKind::runtime, "compiled: nothing orders " + steps_.described(a) + " and " +
                                      steps_.described(b) + ", which touch the same bytes");
}

void CudaGraph::add(size_t s, const std::vector<int>& after, CUgraph call) {
  std::vector<CUgraphNode> before;
  for (int p : after) before.insert(before.end(), nodes_[p].begin(), nodes_[p].end());
  const auto added = [&](CUresult result, CUgraphNode node) {
    if (result != CUDA_SUCCESS) cuda::fail(result, "adding to a graph " + steps_.described(s));
    nodes_[s].push_back(node);
  };
  CUgraphNode node = nullptr;
  if (program_.steps[s].kind == StepKind::call) {
    const CUresult result = cuda::driver().cuGraphAddChildGraphNode_(
        &node, graph_.get(), before.data(), before.size(), call);
    return added(result, node);
  }
  for (const CudaSteps::Kernel& k : steps_.kernels(s)) {
    const CUresult result = cuda::driver().cuGraphAddKernelNode_(&node, graph_.get(), before.data(),
                                                                 before.size(), &k.node);
    added(result, node);
  }
}

CudaGraph::Captured CudaGraph::capture(size_t s) {
  try {
    return captured(s);
  } catch (const Error& error) {
    throw Error(error.kind(),
                std::string(error.what()) + ", in the capture of " + steps_.described(s));
  }
}

// Relaxed: what a call prepares when it runs for the first time is no part of the graph.
CudaGraph::Captured CudaGraph::captured(size_t s) {
  const StreamScope stream(capturing_);
  const Scratch::Scope scratch(scratch_);
  OSTINATO_CUDA(cuStreamBeginCapture, capturing_->handle(), CU_STREAM_CAPTURE_MODE_RELAXED);
  CUgraph made = nullptr;
  try {
    steps_.run(s);
  } catch (...) {
    cuda::driver().cuStreamEndCapture_(capturing_->handle(), &made);
    const GraphHandle unfinished(made);
    throw;
  }
  OSTINATO_CUDA(cuStreamEndCapture, capturing_->handle(), &made);
  Captured found{GraphHandle(made), scratch.is_used()};
  store_words_by_kernels(made, program_.device.index);
  return found;
}

// A disabled node keeps its edges: what follows it waits for what it would have waited for.
void CudaGraph::spare(const SparedSteps& spared) {
  for (size_t s : spared.steps()) {
    const bool now = spared.has_step(s);
    if (now == disabled_[s]) continue;
    for (CUgraphNode node : nodes_[s]) {
      const CUresult result = cuda::driver().cuGraphNodeSetEnabled_(exec_.get(), node, now ? 0 : 1);
      if (result != CUDA_SUCCESS)
        cuda::fail(result, "leaving out of a graph " + steps_.described(s));
    }
    disabled_[s] = now;
  }
}

void CudaGraph::replay(const SparedSteps& spared) {
  spare(spared);
  for (int s : memory_.moved()) {
    if (!program_.steps[s].host) patch(static_cast<size_t>(s));
  }
  memory_.settle();
  for (size_t s : watched_) {
    if (!steps_.changed(s)) continue;
    patch(s);
    steps_.note_values(s);
  }
  const CUresult result =
      cuda::driver().cuGraphLaunch_(exec_.get(), cuda::current_handle(program_.device.index));
  if (result != CUDA_SUCCESS) {
    cuda::fail(result, "a replay of " + size_text() +
                           " (OSTINATO_GRAPH=0 runs them one by one, and names the one)");
  }
  ++counters_.replays;
}

void CudaGraph::patch(size_t s) {
  const auto done = [&](CUresult result) {
    if (result != CUDA_SUCCESS) cuda::fail(result, "changing in a graph " + steps_.described(s));
  };
  if (program_.steps[s].kind == StepKind::call) {
    const Captured now = capture(s);
    done(cuda::driver().cuGraphExecChildGraphNodeSetParams_(exec_.get(), nodes_[s][0],
                                                            now.graph.get()));
    ++counters_.recaptures;
    return;
  }
  std::vector<CudaSteps::Kernel>& kernels = steps_.kernels(s);
  for (size_t i = 0; i < kernels.size(); ++i) {
    done(cuda::driver().cuGraphExecKernelNodeSetParams_(exec_.get(), nodes_[s][i],
                                                        &kernels[i].node));
  }
  if (program_.steps[s].kind == StepKind::launch) ++counters_.patches;
}

}  // namespace ostinato
