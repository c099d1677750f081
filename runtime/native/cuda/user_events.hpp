// Events behind the last uses of blocks on streams that are not their own.
#pragma once
#include <cuda.h>

#include <deque>
#include <utility>
#include <vector>

#include "cuda/driver.hpp"

namespace ostinato::cuda {

// Of one device. `T` is what waits; the caller locks, and has made the device current.
template <class T>
class UserEvents {
 public:
  bool empty() const { return waiting_ == 0; }

  // Marks the end of what is queued on `stream` now, for `what`. False where the driver fails.
  bool add(CUstream stream, T* what) noexcept {
    CUevent event = take();
    if (event == nullptr || driver().cuEventRecord_(event, stream) != CUDA_SUCCESS) return false;
    queue_of(stream).push_back({event, what});
    ++waiting_;
    return true;
  }

  // done(what) for every mark that the device has passed; those of one stream are passed in order.
  template <class F>
  void poll(F&& done) {
    for (Queue& q : queues_) {
      while (!q.marks.empty()) {
        const CUresult result = driver().cuEventQuery_(q.marks.front().event);
        if (result == CUDA_ERROR_NOT_READY) break;
        pass(q, done);
      }
    }
  }

  // The same for every mark, waiting for the device.
  template <class F>
  void settle(F&& done) {
    for (Queue& q : queues_) {
      while (!q.marks.empty()) {
        driver().cuEventSynchronize_(q.marks.front().event);
        pass(q, done);
      }
    }
  }

 private:
  struct Mark {
    CUevent event;
    T* what;
  };
  struct Queue {
    CUstream stream;
    std::deque<Mark> marks;
  };

  // After a failure of the driver nothing runs any more, so that a failed wait is a finished one.
  template <class F>
  void pass(Queue& q, F& done) {
    const Mark mark = q.marks.front();
    q.marks.pop_front();
    --waiting_;
    idle_.push_back(mark.event);
    done(mark.what);
  }

  std::deque<Mark>& queue_of(CUstream stream) {
    for (Queue& q : queues_) {
      if (q.stream == stream) return q.marks;
    }
    queues_.push_back({stream, {}});
    return queues_.back().marks;
  }

  CUevent take() {
    CUevent event = nullptr;
    if (!idle_.empty()) {
      event = idle_.back();
      idle_.pop_back();
    } else if (driver().cuEventCreate_(&event, CU_EVENT_DISABLE_TIMING) != CUDA_SUCCESS) {
      return nullptr;
    }
    return event;
  }

  std::vector<Queue> queues_;
  std::vector<CUevent> idle_;
  size_t waiting_ = 0;
};

}  // namespace ostinato::cuda
