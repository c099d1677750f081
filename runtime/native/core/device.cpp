#include "core/device.hpp"

#include <charconv>

#include "core/error.hpp"

namespace ostinato {
namespace {

thread_local Device current = kCpu;

}  // namespace

Device device_named(std::string_view text, int cuda_default) {
  if (text == "cpu") return kCpu;
  if (text == "cuda") return cuda_device(cuda_default);
  int index = -1;
  if (text.starts_with("cuda:")) {
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data() + 5, end, index);
    if (error != std::errc() || stop != end) index = -1;
  }
  if (index >= 0 && index < kMostDevices) return cuda_device(index);
  throw Error(ErrorKind::value, "device: '" + std::string(text) +
                                    "' came; give \"cpu\", \"cuda\" or, of several GPUs, "
                                    "\"cuda:1\"");
}

Device creation_device() { return current; }
void set_creation_device(Device d) { current = d; }

DeviceScope::DeviceScope(Device d) : before_(current) { current = d; }
DeviceScope::~DeviceScope() { current = before_; }

}  // namespace ostinato
