// Which algorithm of cuBLASLt the products of compiled Programs run by, found by measurement.
#pragma once
#include <functional>
#include <optional>
#include <span>
#include <string>

#include "cuda/cublaslt.hpp"
#include "cuda/stream.hpp"

namespace ostinato::cuda::blas {

struct Choice {
  lt::Algorithm algorithm;
  size_t workspace;
  double seconds;        // what it took when it was measured
  double first_seconds;  // and what the library's first proposal did
};

// Where choices are kept beyond this process; a text names the product.
class ChoiceKeeper {
 public:
  virtual ~ChoiceKeeper() = default;
  // False where none is kept.
  virtual bool recall(const std::string& product, Choice& found) = 0;
  virtual void keep(const std::string& product, const Choice& made) = 0;
};

// While it lives, products of this thread run by measured choices where there are some; with a
// keeper, those are measured that have none.
class ChoiceScope {
 public:
  explicit ChoiceScope(ChoiceKeeper* keeper = nullptr);
  ~ChoiceScope();
  ChoiceScope(const ChoiceScope&) = delete;
  ChoiceScope& operator=(const ChoiceScope&) = delete;

  static bool is_active();
  static ChoiceKeeper* keeper();  // null where nothing is to be measured

 private:
  bool was_active_;
  ChoiceKeeper* before_;
};

// The choice of this process for a product on a device; false where there is none.
bool find_choice(int device, const std::string& product, Choice& found);
void set_choice(int device, const std::string& product, const Choice& made);

// Queues a product by one of the proposals; what is not 0 says that it cannot.
using Attempt = std::function<int(const lt::Heuristic& proposal)>;

// The fastest of some proposals of the library, each tried a few times on `stream`; nothing where
// none of them can. `flush` queues work that takes longer than queueing the attempts does.
std::optional<Choice> fastest(std::span<const lt::Heuristic> proposals, const Attempt& attempt,
                              const std::function<void()>& flush, const Stream& stream);

}  // namespace ostinato::cuda::blas
