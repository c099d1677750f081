#include "core/scratch.hpp"

#include <utility>

namespace ostinato {
namespace {

thread_local Scratch* current = nullptr;

}  // namespace

Scratch* Scratch::active() { return current; }

Scratch::Scope::Scope(Scratch& scratch)
    : scratch_(scratch), before_(std::exchange(current, &scratch)) {
  scratch.next_ = 0;
}

Scratch::Scope::~Scope() { current = before_; }

bool Scratch::Scope::is_used() const { return scratch_.next_ > 0; }

Ref<Storage> Scratch::take(size_t bytes, Device device) {
  if (next_ == pieces_.size()) pieces_.emplace_back();
  Ref<Storage>& piece = pieces_[next_++];
  if (piece && piece->bytes() >= bytes) return piece;
  Ref<Storage> larger = Storage::allocate_outside(bytes, device);
  if (piece) outgrown_.push_back(piece);
  piece = larger;
  return piece;
}

size_t Scratch::bytes() const {
  size_t sum = 0;
  for (const Ref<Storage>& p : pieces()) sum += p->bytes();
  return sum;
}

std::vector<Ref<Storage>> Scratch::pieces() const {
  std::vector<Ref<Storage>> all = outgrown_;
  for (const Ref<Storage>& p : pieces_) {
    if (p) all.push_back(p);
  }
  return all;
}

}  // namespace ostinato
