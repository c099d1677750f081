// Streams and events. Each thread has a current stream for each device, at first the device's own.
#pragma once
#include <cuda.h>

#include <memory>

#include "core/intrusive.hpp"

namespace ostinato::cuda {

class Stream : public RefCounted {
 public:
  static void destroy(Stream* s) { delete s; }
  // A new non-blocking stream; lower `priority` numbers go first, the nearest that the device has.
  static Ref<Stream> make(int device, int priority = 0);
  // A stream of somebody else, who keeps it alive.
  static Ref<Stream> external(int device, CUstream handle);
  ~Stream();

  CUstream handle() const { return handle_; }
  int device() const { return device_; }
  int priority() const { return priority_; }
  void synchronize() const;
  bool is_idle() const;

 private:
  Stream(int device, CUstream handle, int priority, bool owned)
      : handle_(handle), device_(device), priority_(priority), owned_(owned) {}
  CUstream handle_;
  int device_;
  int priority_;
  bool owned_;
};

Ref<Stream> default_stream(int device);
// Of this thread.
Ref<Stream> current_stream(int device);
// The handle of the same, without counting a reference: for launches.
CUstream current_handle(int device);
void set_current_stream(Ref<Stream> stream);
void synchronize(int device);
// Waits for the current stream where nothing may be thrown.
void wait_quietly(int device) noexcept;

class Event {
 public:
  Event(int device, bool timing);
  ~Event();
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  void record(const Stream& stream);
  void wait(const Stream& stream) const;  // `stream` waits for it
  void synchronize() const;
  bool is_done() const;
  // Milliseconds from this event to a later one.
  float elapsed(const Event& later) const;
  CUevent handle() const { return handle_; }

 private:
  CUevent handle_ = nullptr;
  int device_;
};

}  // namespace ostinato::cuda
