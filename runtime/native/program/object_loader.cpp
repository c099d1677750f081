#include "program/object_loader.hpp"

#include <elf.h>
#include <sys/mman.h>

#include <cstring>
#include <limits>
#include <memory>
#include <tuple>
#include <utility>
#include <vector>

#include "core/error.hpp"

namespace ostinato {
namespace {

// Objects are read from disk, so every offset in them is checked.
constexpr size_t kMostBytes = size_t{1} << 30;
constexpr size_t kMostAlignment = 4096;

[[noreturn]] void refuse(const std::string& problem) {
  throw Error(ErrorKind::compile, "load: " + problem + "; compile the kernels again");
}

struct Unmap {
  size_t size = 0;
  void operator()(std::byte* memory) const { munmap(memory, size); }
};
using Mapping = std::unique_ptr<std::byte, Unmap>;

class Reader {
 public:
  explicit Reader(std::string_view data) : data_(data) {
    header_ = at<Elf64_Ehdr>(0);
    static constexpr unsigned char kStart[] = {ELFMAG0, ELFMAG1,    ELFMAG2,
                                               ELFMAG3, ELFCLASS64, ELFDATA2LSB};
    if (std::memcmp(header_.e_ident, kStart, sizeof kStart) != 0 ||
        header_.e_machine != EM_X86_64 || header_.e_type != ET_REL ||
        header_.e_shentsize != sizeof(Elf64_Shdr)) {
      refuse("not a relocatable x86-64 ELF object");
    }
    for (size_t i = 0; i < header_.e_shnum; ++i) {
      sections_.push_back(at<Elf64_Shdr>(header_.e_shoff + i * sizeof(Elf64_Shdr)));
    }
  }

  template <class T>
  T at(uint64_t offset) const {
    T value;
    std::memcpy(&value, bytes(offset, sizeof(T)), sizeof(T));
    return value;
  }
  const char* bytes(uint64_t offset, uint64_t size) const {
    if (offset > data_.size() || size > data_.size() - offset) refuse("the object is cut short");
    return data_.data() + offset;
  }
  template <class T>
  std::vector<T> entries(const Elf64_Shdr& table) const {
    if (table.sh_entsize != sizeof(T)) refuse("a table has entries of another size");
    const char* start = bytes(table.sh_offset, table.sh_size);
    std::vector<T> found(table.sh_size / sizeof(T));
    if (!found.empty()) std::memcpy(found.data(), start, found.size() * sizeof(T));
    return found;
  }
  const std::vector<Elf64_Shdr>& sections() const { return sections_; }
  const Elf64_Shdr& section(size_t index) const {
    if (index >= sections_.size()) refuse("a section does not exist");
    return sections_[index];
  }
  std::string name(const Elf64_Shdr& strings, uint64_t offset) const {
    if (offset >= strings.sh_size) refuse("a name does not exist");
    const char* start = bytes(strings.sh_offset, strings.sh_size) + offset;
    return {start, strnlen(start, strings.sh_size - offset)};
  }

 private:
  std::string_view data_;
  Elf64_Ehdr header_;
  std::vector<Elf64_Shdr> sections_;
};

bool is_loaded(const Elf64_Shdr& s) { return (s.sh_flags & SHF_ALLOC) != 0 && s.sh_size > 0; }

// One mapping with all sections that are needed at run time; `places` are their offsets in it.
class Image {
 public:
  explicit Image(const Reader& reader) : reader_(reader), places_(reader.sections().size()) {
    for (size_t i = 0; i < places_.size(); ++i) place(i);
    size_ = (size_ + 4095) / 4096 * 4096;
    void* memory = mmap(nullptr, size_ ? size_ : 4096, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) refuse("no memory for the code");
    memory_ = Mapping(static_cast<std::byte*>(memory), Unmap{size_ ? size_ : 4096});
    for (size_t i = 0; i < places_.size(); ++i) copy(i);
  }

  std::byte* address(size_t section, uint64_t offset) const {
    const Elf64_Shdr& s = reader_.section(section);
    if (!is_loaded(s) || offset > s.sh_size) refuse("an address lies outside of its section");
    return memory_.get() + places_[section] + offset;
  }
  void protect() const {
    if (mprotect(memory_.get(), memory_.get_deleter().size, PROT_READ | PROT_EXEC) != 0) {
      refuse("the system does not allow code in memory");
    }
  }
  std::pair<std::byte*, size_t> release() {
    const size_t size = memory_.get_deleter().size;
    return {memory_.release(), size};
  }

 private:
  void place(size_t i) {
    const Elf64_Shdr& s = reader_.sections()[i];
    if (!is_loaded(s)) return;
    const uint64_t alignment = s.sh_addralign ? s.sh_addralign : 1;
    if ((s.sh_flags & SHF_WRITE) != 0) refuse("the object has writable data");
    if (s.sh_type != SHT_PROGBITS) refuse("a section is of another kind than code and constants");
    reader_.bytes(s.sh_offset, s.sh_size);
    if (alignment > kMostAlignment || (alignment & (alignment - 1)) != 0 || size_ > kMostBytes) {
      refuse("a section is too large");
    }
    places_[i] = (size_ + alignment - 1) & ~(alignment - 1);
    size_ = places_[i] + s.sh_size;
  }
  void copy(size_t i) {
    const Elf64_Shdr& s = reader_.sections()[i];
    if (!is_loaded(s)) return;
    std::memcpy(memory_.get() + places_[i], reader_.bytes(s.sh_offset, s.sh_size), s.sh_size);
  }

  const Reader& reader_;
  std::vector<size_t> places_;
  size_t size_ = 0;
  Mapping memory_;
};

template <class T>
void write(std::byte* where, T value) {
  std::memcpy(where, &value, sizeof value);
}

template <class T>
T narrowed(int64_t value) {
  if (value < static_cast<int64_t>(std::numeric_limits<T>::min()) ||
      value > static_cast<int64_t>(std::numeric_limits<T>::max())) {
    refuse("a relocation does not reach its target");
  }
  return static_cast<T>(value);
}

std::byte* target_of(const Reader& reader, const Image& image, const Elf64_Sym& symbol,
                     const Elf64_Shdr& strings) {
  if (symbol.st_shndx == SHN_UNDEF) {
    refuse("the object needs " + reader.name(strings, symbol.st_name) + " from outside");
  }
  if (symbol.st_shndx >= SHN_LORESERVE) refuse("a symbol has no section");
  return image.address(symbol.st_shndx, symbol.st_value);
}

void relocate(const Image& image, size_t section, const Elf64_Rela& entry, std::byte* target) {
  const uint32_t type = ELF64_R_TYPE(entry.r_info);
  const size_t width = type == R_X86_64_64 ? 8 : 4;
  if (entry.r_offset > std::numeric_limits<uint64_t>::max() - width) refuse("a bad relocation");
  image.address(section, entry.r_offset + width);
  std::byte* where = image.address(section, entry.r_offset);
  const uint64_t address =
      reinterpret_cast<uint64_t>(target) + static_cast<uint64_t>(entry.r_addend);
  const auto value = static_cast<int64_t>(address);
  const auto distance = static_cast<int64_t>(address - reinterpret_cast<uint64_t>(where));
  switch (type) {
    case R_X86_64_64:
      return write(where, value);
    case R_X86_64_PC32:
    case R_X86_64_PLT32:
      return write(where, narrowed<int32_t>(distance));
    case R_X86_64_32:
      return write(where, narrowed<uint32_t>(value));
    case R_X86_64_32S:
      return write(where, narrowed<int32_t>(value));
    default:
      refuse("a relocation is of kind " + std::to_string(type) + ", which kernels do not have");
  }
}

void relocate_section(const Reader& reader, const Image& image, const Elf64_Shdr& relocations) {
  if (!is_loaded(reader.section(relocations.sh_info))) return;
  const Elf64_Shdr& table = reader.section(relocations.sh_link);
  const std::vector<Elf64_Sym> symbols = reader.entries<Elf64_Sym>(table);
  for (const Elf64_Rela& entry : reader.entries<Elf64_Rela>(relocations)) {
    const size_t index = ELF64_R_SYM(entry.r_info);
    if (index >= symbols.size()) refuse("a symbol does not exist");
    std::byte* target = target_of(reader, image, symbols[index], reader.section(table.sh_link));
    relocate(image, relocations.sh_info, entry, target);
  }
}

std::unordered_map<std::string, void*> functions_in(const Reader& reader, const Image& image) {
  std::unordered_map<std::string, void*> found;
  for (const Elf64_Shdr& table : reader.sections()) {
    if (table.sh_type != SHT_SYMTAB) continue;
    const Elf64_Shdr& strings = reader.section(table.sh_link);
    for (const Elf64_Sym& symbol : reader.entries<Elf64_Sym>(table)) {
      if (ELF64_ST_TYPE(symbol.st_info) != STT_FUNC) continue;
      found[reader.name(strings, symbol.st_name)] = target_of(reader, image, symbol, strings);
    }
  }
  return found;
}

}  // namespace

LoadedObject::LoadedObject(std::string_view data) {
  const Reader reader(data);
  Image image(reader);
  for (const Elf64_Shdr& section : reader.sections()) {
    if (section.sh_type == SHT_REL) refuse("relocations without addends");
    if (section.sh_type == SHT_RELA) relocate_section(reader, image, section);
  }
  functions_ = functions_in(reader, image);
  image.protect();
  std::tie(memory_, size_) = image.release();
}

LoadedObject::LoadedObject(LoadedObject&& other) noexcept
    : memory_(std::exchange(other.memory_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      functions_(std::move(other.functions_)) {}

LoadedObject::~LoadedObject() {
  if (memory_ != nullptr) munmap(memory_, size_);
}

void* LoadedObject::function(const std::string& name) const {
  const auto found = functions_.find(name);
  if (found == functions_.end()) refuse("the object defines no function " + name);
  return found->second;
}

}  // namespace ostinato
