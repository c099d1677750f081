// The thread pool: splits index ranges over the cores. Safe to call from several threads at once
// (each caller works on its own range and helps itself), nested calls run inline, restarts after
// fork.
#pragma once
#include <cstdint>
#include <type_traits>

namespace ostinato {

int num_threads();
void set_num_threads(int n);

using RangeFn = void (*)(void* context, int64_t begin, int64_t end);
// Calls fn over disjoint ranges covering [0, n); no range but the last is shorter than `grain`.
void parallel_for(int64_t n, int64_t grain, RangeFn fn, void* context);

template <class F>
void parallel_for(int64_t n, int64_t grain, F&& f) {
  using Fn = std::remove_reference_t<F>;
  if (n <= grain) {
    if (n > 0) f(int64_t{0}, n);
    return;
  }
  parallel_for(
      n, grain, [](void* c, int64_t b, int64_t e) { (*static_cast<Fn*>(c))(b, e); },
      const_cast<void*>(static_cast<const void*>(&f)));
}

}  // namespace ostinato
