// Typed errors; the bindings raise the Python class of the same name (ir/errors.py).
#pragma once
#include <stdexcept>
#include <string>

namespace ostinato {

enum class ErrorKind {
  shape,
  dtype,
  gradient,
  capture,
  value,
  index,
  type,
  runtime,
  compile,
  device,
  memory
};

class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& text) : std::runtime_error(text), kind_(kind) {}
  ErrorKind kind() const { return kind_; }

 private:
  ErrorKind kind_;
};

}  // namespace ostinato
