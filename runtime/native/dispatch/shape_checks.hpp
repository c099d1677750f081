// What the files of shape rules share.
#pragma once
#include <string>

#include "dispatch/op_call.hpp"

namespace ostinato {

[[noreturn]] inline void fail(const OpCall& call, const std::string& text) {
  throw Error(ErrorKind::shape, std::string(call.op->name) + ": " + text);
}

// All but the last `drop` sizes.
inline Sizes head(const Sizes& s, size_t drop) {
  return {s.begin(), s.begin() + (s.size() > drop ? s.size() - drop : 0)};
}

// The shape that all of these broadcast to.
Sizes broadcast(const char* op, std::span<const Sizes> shapes);

}  // namespace ostinato
