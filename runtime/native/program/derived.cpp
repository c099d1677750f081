#include "program/derived.hpp"

#include <mutex>
#include <shared_mutex>
#include <string>
#include <unordered_map>

namespace ostinato {
namespace {

DeriveFn derive = nullptr;

template <class T>
void append(std::string& text, T v) {
  text.append(reinterpret_cast<const char*>(&v), sizeof v);
}

template <class T>
void append_list(std::string& text, const T& list) {
  append(text, static_cast<uint16_t>(list.size()));
  for (const auto& v : list) append(text, v);
}

// Of sizes only how many there are.
void append_attr(std::string& text, const Attr& attr, const Param& param) {
  append(text, static_cast<uint8_t>(attr.value().index()));
  std::string_view kind = param.kind;
  if (kind == "size") return;
  if (kind == "sizes" && attr.is_sizes()) {
    return append(text, static_cast<uint16_t>(attr.as_sizes().size()));
  }
  std::visit(
      [&](const auto& v) {
        using V = std::decay_t<decltype(v)>;
        if constexpr (std::is_same_v<V, std::string> || std::is_same_v<V, Sizes>) {
          append_list(text, v);
        } else if constexpr (!std::is_same_v<V, std::monostate>) {
          append(text, v);
        }
      },
      attr.value());
}

// Built in a buffer of the thread, which keeps its capacity.
const std::string& text_of(const ProgramKey& key) {
  thread_local std::string text;
  text.clear();
  append(text, key.kind);
  append(text, key.op->id);
  append_list(text, key.operands);
  append_list(text, key.results);
  append_list(text, key.wanted);
  append_list(text, key.given);
  size_t at = 0;
  for (const Param& p : key.op->params) {
    if (!p.is_operand) append_attr(text, key.attrs[at++], p);
  }
  return text;
}

using Cache = std::unordered_map<std::string, Ref<Program>>;

}  // namespace

void set_derive(DeriveFn fn) { derive = fn; }

const Program& find_program(const ProgramKey& key) {
  // So that a hit takes no lock.
  thread_local std::unordered_map<std::string, const Program*> mine;
  static Cache& everyone = *new Cache;
  static std::shared_mutex mutex;
  const std::string& text = text_of(key);
  if (auto it = mine.find(text); it != mine.end()) return *it->second;
  std::string owned = text;
  const Program* found = nullptr;
  {
    std::shared_lock lock(mutex);
    if (auto it = everyone.find(owned); it != everyone.end()) found = it->second.get();
  }
  if (!found) {
    Ref<Program> made = derive(key);  // no lock held: it takes the GIL
    std::unique_lock lock(mutex);
    found = everyone.try_emplace(owned, std::move(made)).first->second.get();
  }
  mine.emplace(std::move(owned), found);
  return *found;
}

}  // namespace ostinato
