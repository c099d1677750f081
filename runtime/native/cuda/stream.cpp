#include "cuda/stream.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <mutex>
#include <vector>

#include "core/error.hpp"
#include "cuda/context.hpp"
#include "cuda/driver.hpp"
#include "cuda/failure.hpp"

namespace ostinato::cuda {
namespace {

struct Idle {
  CUstream handle;
  int device;
  int priority;
};

// Never destroyed: tensors of static objects outlive any destructor here.
struct Streams {
  std::mutex mutex;
  std::vector<Idle> idle;
  std::array<std::atomic<Stream*>, kMostDevices> first = {};
};

Streams& streams() {
  static Streams& made = *new Streams;
  return made;
}

thread_local std::array<Ref<Stream>, kMostDevices> chosen;

CUstream take_idle(int device, int priority) {
  Streams& all = streams();
  const std::lock_guard lock(all.mutex);
  for (Idle& i : all.idle) {
    if (i.device != device || i.priority != priority) continue;
    CUstream handle = i.handle;
    i = all.idle.back();
    all.idle.pop_back();
    return handle;
  }
  return nullptr;
}

// The nearest priority that the device has.
int within_range(int device, int priority) {
  use_device(device);
  int least = 0, greatest = 0;
  OSTINATO_CUDA(cuCtxGetStreamPriorityRange, &least, &greatest);
  return std::clamp(priority, greatest, least);
}

CUstream create(int device, int priority) {
  use_device(device);
  CUstream handle = nullptr;
  OSTINATO_CUDA(cuStreamCreateWithPriority, &handle, CU_STREAM_NON_BLOCKING, priority);
  return handle;
}

Stream* make_first(int device) {
  Ref<Stream> made = Stream::make(device);
  Stream* first = nullptr;
  made->retain();  // for the life of the process, if no other thread was faster
  if (streams().first[device].compare_exchange_strong(first, made.get())) return made.get();
  made->release();
  return first;
}

Stream* first_of(int device) {
  if (device >= 0 && device < kMostDevices) {
    Stream* first = streams().first[device].load(std::memory_order_acquire);
    if (first != nullptr) return first;
  }
  use_device(device);  // refuses a device that does not exist
  return make_first(device);
}

Stream* current_of(int device) {
  if (device >= 0 && device < kMostDevices && chosen[device]) return chosen[device].get();
  return first_of(device);
}

// The answer of a query: whether work is done.
bool is_done_by(CUresult result, const char* what) {
  if (result == CUDA_ERROR_NOT_READY) return false;
  check(result, what);
  return true;
}

}  // namespace

Ref<Stream> Stream::make(int device, int asked) {
  const int priority = asked == 0 ? 0 : within_range(device, asked);
  CUstream handle = take_idle(device, priority);
  if (handle == nullptr) handle = create(device, priority);
  return Ref<Stream>(new Stream(device, handle, priority, true));
}

Ref<Stream> Stream::external(int device, CUstream handle) {
  use_device(device);
  return Ref<Stream>(new Stream(device, handle, 0, false));
}

// A stream of ours is used again and never destroyed: memory that was freed on it stays ordered
// with whatever runs on it next.
Stream::~Stream() {
  if (!owned_ || usable_driver() == nullptr) return;
  Streams& all = streams();
  const std::lock_guard lock(all.mutex);
  all.idle.push_back({handle_, device_, priority_});
}

void Stream::synchronize() const {
  use_device(device_);
  OSTINATO_CUDA(cuStreamSynchronize, handle_);
  check_failure(device_);
}

bool Stream::is_idle() const {
  use_device(device_);
  return is_done_by(driver().cuStreamQuery_(handle_), "cuStreamQuery");
}

Ref<Stream> default_stream(int device) { return Ref<Stream>(first_of(device)); }
Ref<Stream> current_stream(int device) { return Ref<Stream>(current_of(device)); }
CUstream current_handle(int device) { return current_of(device)->handle(); }
void set_current_stream(Ref<Stream> stream) {
  const int device = stream->device();
  chosen[device] = std::move(stream);
}

void synchronize(int device) {
  use_device(device);
  OSTINATO_CUDA(cuCtxSynchronize);
  check_failure(device);
}

void wait_quietly(int device) noexcept {
  try {
    current_of(device)->synchronize();
  } catch (const Error&) {
    // The driver failed for good: nothing runs any more.
  }
}

Event::Event(int device, bool timing) : device_(device) {
  use_device(device);
  OSTINATO_CUDA(cuEventCreate, &handle_, timing ? CU_EVENT_DEFAULT : CU_EVENT_DISABLE_TIMING);
}

Event::~Event() {
  // Fails where the process ends and the driver is gone before us.
  if (const Driver* functions = usable_driver()) functions->cuEventDestroy_(handle_);
}

void Event::record(const Stream& stream) {
  if (stream.device() != device_) {
    throw Error(ErrorKind::value, "record: an event of " + show(cuda_device(device_)) +
                                      " came to a stream of " + show(cuda_device(stream.device())) +
                                      "; make an event for each device");
  }
  use_device(device_);
  OSTINATO_CUDA(cuEventRecord, handle_, stream.handle());
}

void Event::wait(const Stream& stream) const {
  use_device(stream.device());
  OSTINATO_CUDA(cuStreamWaitEvent, stream.handle(), handle_, CU_EVENT_WAIT_DEFAULT);
}

void Event::synchronize() const {
  OSTINATO_CUDA(cuEventSynchronize, handle_);
  check_failure(device_);
}

bool Event::is_done() const { return is_done_by(driver().cuEventQuery_(handle_), "cuEventQuery"); }

float Event::elapsed(const Event& later) const {
  if (later.device_ != device_) {
    throw Error(ErrorKind::value, "elapsed_time: events of " + show(cuda_device(device_)) +
                                      " and " + show(cuda_device(later.device_)) +
                                      " came; give two of one device");
  }
  float milliseconds = 0;
  const CUresult result = driver().cuEventElapsedTime_(&milliseconds, handle_, later.handle_);
  if (result == CUDA_ERROR_NOT_READY) {
    throw Error(ErrorKind::value,
                "elapsed_time: an event came that the device has not reached; synchronize() both");
  }
  check(result, "cuEventElapsedTime");
  return milliseconds;
}

}  // namespace ostinato::cuda
