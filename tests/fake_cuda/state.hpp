// The state of the fake driver: devices of host memory, a log of calls, planned failures.
#pragma once
#include <cuda.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "clocks.hpp"
#include "graphs.hpp"

struct CUctx_st {
  int device = 0;
};
struct CUstream_st {
  int id = 0;
  int device = 0;
  int priority = 0;
  CUgraph capturing = nullptr;  // where what is queued goes, if anywhere
};
struct CUevent_st {
  int id = 0;
  int device = 0;
  bool timing = true;
  fake::Clock clock;
  double milliseconds = 0;
};
struct CUfunc_st {
  std::string name;
  int parameters = 0;  // 0: unknown
};
struct CUmod_st {
  const void* image;  // a cubin, or null; whoever loads it keeps it
  std::map<std::string, std::unique_ptr<CUfunc_st>> functions;
};

namespace fake {

// The n-th next call of a function fails, and with `every` all later ones too.
struct Failure {
  int countdown;
  CUresult result;
  bool every;
};

struct Region {
  size_t bytes;
  int device;  // -1: pinned memory of the host
};

inline int from_environment(const char* name, int otherwise) {
  const char* value = std::getenv(name);
  return value != nullptr ? std::atoi(value) : otherwise;
}

struct State {
  std::mutex mutex;
  int devices = from_environment("FAKE_CUDA_DEVICES", 2);
  size_t memory = static_cast<size_t>(from_environment("FAKE_CUDA_MEBIBYTES", 256)) << 20;
  std::vector<size_t> used = std::vector<size_t>(16);
  std::vector<CUctx_st> contexts = std::vector<CUctx_st>(16);
  std::map<CUdeviceptr, Region> regions;
  std::map<std::string, Failure> failures;
  std::vector<std::string> calls;
  CUresult sticky = CUDA_SUCCESS;
  std::string held;                // a call of this function waits until it is let go
  std::atomic<bool> waits{false};  // one does
  Timeline timeline;
  std::set<CUgraph> graphs;  // but for children and those of execs
  std::set<CUgraphExec> execs;
  std::map<std::string, int> live;  // handles of each kind
  int edges_until_lost = 0;
  int next_stream = 1;
  int next_event = 1;
  int next_exec = 1;
  double now = 0;  // milliseconds; each operation takes one
  std::string text;
};

inline State& state() {
  static State& made = *new State;
  return made;
}

inline thread_local CUcontext current = nullptr;

inline bool is_of_driver(CUstream stream) { return reinterpret_cast<uintptr_t>(stream) < 3; }

inline int id_of(CUstream stream) {
  return is_of_driver(stream) ? -static_cast<int>(reinterpret_cast<uintptr_t>(stream)) : stream->id;
}

// A call on its way: holds the lock, and knows whether it is to fail.
class Call {
 public:
  explicit Call(const char* name) : lock_(state().mutex), name_(name) {
    State& s = state();
    if (s.held == name) wait(s);
    result_ = s.sticky;
    const auto it = s.failures.find(name);
    if (it == s.failures.end() || it->second.countdown-- > 1) return;
    result_ = it->second.result;
    if (!it->second.every) s.failures.erase(it);
  }
  bool fails() const { return result_ != CUDA_SUCCESS; }
  CUresult result() const { return result_; }
  template <class... Args>
  CUresult log(const Args&... args) const {
    std::ostringstream line;
    line << name_;
    ((line << ' ' << args), ...);
    state().calls.push_back(line.str());
    return result_;
  }

 private:
  static void wait(State& s) {
    s.waits = true;
    while (s.waits) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    s.held.clear();
  }

  std::lock_guard<std::mutex> lock_;
  std::string name_;
  CUresult result_;
};

// Does `work`, which reads and writes bytes of devices or pinned memory, on `stream`; on one that
// is captured it becomes a node, called `text`, which is returned. 0 for no bytes.
CUgraphNode queue(CUstream stream, CUgraphNodeType type, const std::string& text,
                  CUdeviceptr written, CUdeviceptr read, size_t bytes, std::function<void()> work);

}  // namespace fake

#define FAKE_EXPORT extern "C" __attribute__((visibility("default")))
