// Loads compiled kernels: relocatable x86-64 ELF objects that define all that they use.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

namespace ostinato {

// Machine code in memory for as long as this object lives.
class LoadedObject {
 public:
  // Copies the code out of `data`. Throws Error (compile) where `data` is no such object: of
  // another machine, cut short, with writable data, an undefined symbol or a relocation of another
  // kind.
  explicit LoadedObject(std::string_view data);
  ~LoadedObject();
  LoadedObject(LoadedObject&& other) noexcept;
  LoadedObject(const LoadedObject&) = delete;
  LoadedObject& operator=(const LoadedObject&) = delete;
  LoadedObject& operator=(LoadedObject&&) = delete;

  // Where the function `name` begins. Throws Error (compile) if the object defines none.
  void* function(const std::string& name) const;

 private:
  std::byte* memory_ = nullptr;
  size_t size_ = 0;
  std::unordered_map<std::string, void*> functions_;
};

}  // namespace ostinato
