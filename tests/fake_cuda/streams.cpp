// Streams, events, modules and launches of the fake driver, and what tests call.
#include <algorithm>

#include "cuda_on_cpu/queue.hpp"
#include "state.hpp"

using fake::Call;
using fake::id_of;
using fake::state;

namespace {

CUresult answer(const Call& call, const fake::Clock& clock) {
  if (call.fails()) return call.result();
  if (!state().timeline.is_done(clock)) return CUDA_ERROR_NOT_READY;
  state().timeline.learn(clock);
  return CUDA_SUCCESS;
}

const char* kept(std::string text) {
  state().text = std::move(text);
  return state().text.c_str();
}

template <class Lines>
std::string joined(const Lines& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

}  // namespace

FAKE_EXPORT CUresult cuStreamCreateWithPriority(CUstream* made, unsigned, int priority) {
  const Call call("cuStreamCreateWithPriority");
  *made = new CUstream_st{state().next_stream++, fake::current->device, priority, nullptr};
  return call.log(id_of(*made), "priority", priority, "device", fake::current->device);
}

FAKE_EXPORT CUresult cuCtxGetStreamPriorityRange(int* least, int* greatest) {
  *least = 0;
  *greatest = -5;
  return CUDA_SUCCESS;
}

FAKE_EXPORT CUresult cuStreamSynchronize(CUstream stream) {
  const Call call("cuStreamSynchronize");
  if (!call.fails()) state().timeline.learn(state().timeline.of(id_of(stream)));
  return call.log(id_of(stream));
}

FAKE_EXPORT CUresult cuStreamQuery(CUstream stream) {
  const Call call("cuStreamQuery");
  call.log(id_of(stream));
  return answer(call, state().timeline.of(id_of(stream)));
}

FAKE_EXPORT CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned) {
  const Call call("cuStreamWaitEvent");
  state().timeline.wait(id_of(stream), event->clock);
  return call.log(id_of(stream), "event", event->id);
}

FAKE_EXPORT CUresult cuThreadExchangeStreamCaptureMode(CUstreamCaptureMode*) {
  return CUDA_SUCCESS;
}

FAKE_EXPORT CUresult cuEventCreate(CUevent* made, unsigned flags) {
  const Call call("cuEventCreate");
  const bool timing = (flags & CU_EVENT_DISABLE_TIMING) == 0;
  *made = new CUevent_st{state().next_event++, fake::current->device, timing, {}, 0};
  ++state().live["events"];
  return call.log((*made)->id);
}

FAKE_EXPORT CUresult cuEventDestroy(CUevent event) {
  const Call call("cuEventDestroy");
  call.log(event->id);
  delete event;
  --state().live["events"];
  return call.result();
}

FAKE_EXPORT CUresult cuEventRecord(CUevent event, CUstream stream) {
  const Call call("cuEventRecord");
  if (!fake::is_of_driver(stream) && stream->device != event->device) {
    return CUDA_ERROR_INVALID_HANDLE;
  }
  if (!call.fails()) {
    state().timeline.begin(id_of(stream));
    event->clock = state().timeline.of(id_of(stream));
    event->milliseconds = state().now;
  }
  return call.log(event->id, "stream", id_of(stream));
}

FAKE_EXPORT CUresult cuEventQuery(CUevent event) {
  const Call call("cuEventQuery");
  call.log(event->id);
  return answer(call, event->clock);
}

FAKE_EXPORT CUresult cuEventSynchronize(CUevent event) {
  const Call call("cuEventSynchronize");
  if (!call.fails()) state().timeline.learn(event->clock);
  return call.log(event->id);
}

FAKE_EXPORT CUresult cuEventElapsedTime(float* milliseconds, CUevent first, CUevent last) {
  const Call call("cuEventElapsedTime");
  call.log(first->id, last->id);
  if (!first->timing || !last->timing || first->device != last->device) {
    return CUDA_ERROR_INVALID_HANDLE;
  }
  const auto& timeline = state().timeline;
  if (!timeline.is_done(first->clock) || !timeline.is_done(last->clock)) {
    return CUDA_ERROR_NOT_READY;
  }
  *milliseconds = static_cast<float>(last->milliseconds - first->milliseconds);
  return call.result();
}

FAKE_EXPORT CUresult cuModuleLoadData(CUmodule* made, const void* image) {
  const Call call("cuModuleLoadData");
  if (call.fails()) return call.log();
  *made = new CUmod_st{fake::is_cubin(image) ? image : nullptr, {}};
  ++state().live["modules"];
  return call.log();
}

FAKE_EXPORT CUresult cuModuleUnload(CUmodule module) {
  const Call call("cuModuleUnload");
  if (fake::current == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  delete module;
  --state().live["modules"];
  return call.log();
}

FAKE_EXPORT CUresult cuModuleGetFunction(CUfunction* found, CUmodule module, const char* name) {
  const Call call("cuModuleGetFunction");
  auto& slot = module->functions[name];
  if (slot == nullptr) {
    slot.reset(new CUfunc_st{name, fake::count_parameters(module->image, name)});
  }
  *found = slot.get();
  return call.log(name);
}

FAKE_EXPORT CUresult cuFuncSetAttribute(CUfunction fn, CUfunction_attribute which, int value) {
  return Call("cuFuncSetAttribute").log(fn->name, static_cast<int>(which), value);
}

FAKE_EXPORT CUresult cuFuncGetName(const char** name, CUfunction fn) {
  *name = fn->name.c_str();
  return CUDA_SUCCESS;
}

FAKE_EXPORT CUresult cuLaunchKernel(CUfunction fn, unsigned x, unsigned y, unsigned z, unsigned bx,
                                    unsigned by, unsigned bz, unsigned shared, CUstream stream,
                                    void** parameters, void**) {
  const Call call("cuLaunchKernel");
  const CUDA_KERNEL_NODE_PARAMS params = {fn, x,      y,          z,       bx,      by,
                                          bz, shared, parameters, nullptr, nullptr, nullptr};
  const std::string text = fake::described(params);
  if (!call.fails()) fake::queue(stream, CU_GRAPH_NODE_TYPE_KERNEL, text, 0, 0, 0, {});
  return call.log(text, "stream", id_of(stream));
}

void queue_work(CUstream stream, double milliseconds, std::function<void()> work) {
  const std::lock_guard lock(state().mutex);
  state().now += milliseconds;
  fake::queue(stream, CU_GRAPH_NODE_TYPE_KERNEL, "product", 0, 0, 0, std::move(work));
}

// The calls since the last time, a line each.
FAKE_EXPORT const char* fake_calls() {
  const std::lock_guard lock(state().mutex);
  std::string text = joined(state().calls);
  state().calls.clear();
  return kept(std::move(text));
}

// Accesses to the same bytes that nothing orders, a line each.
FAKE_EXPORT const char* fake_races() {
  const std::lock_guard lock(state().mutex);
  std::string text = joined(state().timeline.races());
  state().timeline.forget();
  return kept(std::move(text));
}

// The `nth` next call of `function` fails with `result`, and with `every` all later ones.
FAKE_EXPORT void fake_fail(const char* function, int nth, int result, int every) {
  const std::lock_guard lock(state().mutex);
  state().failures[function] = {nth, static_cast<CUresult>(result), every != 0};
}

// The next call of `function` stops, with all locks that it is made under, until it is let go.
FAKE_EXPORT void fake_hold(const char* function) {
  const std::lock_guard lock(state().mutex);
  state().held = function;
}

FAKE_EXPORT int fake_is_holding() { return state().waits ? 1 : 0; }

FAKE_EXPORT void fake_let_go() { state().waits = false; }

// Every later call fails with `result`, as after an illegal access of a kernel.
FAKE_EXPORT void fake_lose_device(int result) {
  const std::lock_guard lock(state().mutex);
  state().sticky = static_cast<CUresult>(result);
}

// No call fails any more.
FAKE_EXPORT void fake_recover() {
  const std::lock_guard lock(state().mutex);
  state().failures.clear();
  state().sticky = CUDA_SUCCESS;
}

// While busy, nothing is over before somebody waits for it.
FAKE_EXPORT void fake_set_busy(int busy) {
  const std::lock_guard lock(state().mutex);
  state().timeline.set_busy(busy != 0);
}
