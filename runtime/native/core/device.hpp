// Where memory lies and ops run: the CPU, or one of the CUDA devices.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace ostinato {

enum class DeviceType : uint8_t { cpu, cuda };

struct Device {
  DeviceType type = DeviceType::cpu;
  int8_t index = 0;

  bool is_cpu() const { return type == DeviceType::cpu; }
  bool is_cuda() const { return type == DeviceType::cuda; }
  bool operator==(const Device&) const = default;
};

inline constexpr int kMostDevices = 16;  // of one type
inline constexpr Device kCpu{};
constexpr Device cuda_device(int index) { return {DeviceType::cuda, static_cast<int8_t>(index)}; }

// `cpu`, `cuda:0`.
inline std::string show(Device d) {
  return d.is_cpu() ? "cpu" : "cuda:" + std::to_string(static_cast<int>(d.index));
}

// The reverse; `cuda` alone is `cuda_default`. Throws Error (value) for anything else.
Device device_named(std::string_view text, int cuda_default);

// Where ops of this thread make tensors that no operand places: the CPU, unless a scope says else.
Device creation_device();
void set_creation_device(Device d);

class DeviceScope {
 public:
  explicit DeviceScope(Device d);
  ~DeviceScope();
  DeviceScope(const DeviceScope&) = delete;
  DeviceScope& operator=(const DeviceScope&) = delete;

 private:
  Device before_;
};

}  // namespace ostinato
