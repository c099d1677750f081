// Memory for calls that are recorded once and run many times.
#pragma once
#include <vector>

#include "core/tensor.hpp"

namespace ostinato {

// Pieces of device memory that stay. While a scope is open in a thread, what the thread asks of a
// CUDA device comes from them, from the first piece on; each scope begins there again.
class Scratch {
 public:
  class Scope {
   public:
    explicit Scope(Scratch& scratch);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;
    // Whether anything was asked for.
    bool is_used() const;

   private:
    Scratch& scratch_;
    Scratch* before_;
  };

  // The pieces of the innermost scope of this thread, null outside of all.
  static Scratch* active();
  Ref<Storage> take(size_t bytes, Device device);
  size_t bytes() const;
  // All of them, also outgrown ones, which earlier calls still use.
  std::vector<Ref<Storage>> pieces() const;

 private:
  std::vector<Ref<Storage>> pieces_;
  std::vector<Ref<Storage>> outgrown_;
  size_t next_ = 0;
};

}  // namespace ostinato
