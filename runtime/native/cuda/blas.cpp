#include "cuda/blas.hpp"

#include <atomic>
#include <memory>
#include <unordered_map>
#include <vector>

#include "core/error.hpp"
#include "core/tensor.hpp"
#include "cuda/choices.hpp"
#include "cuda/context.hpp"
#include "cuda/driver.hpp"
#include "cuda/lt_descriptors.hpp"

namespace ostinato::cuda::blas {
namespace {

constexpr uint64_t kMostWorkspace = uint64_t{32} << 20;
constexpr uint32_t kMostAlignment = 256;
// Of what a compiled Program's inputs and outputs are sure to have. Its products are chosen for no
// more, so that a product in a graph has the same kernels wherever its operands move.
constexpr uint32_t kSureAlignment = 16;
constexpr int kMostProposals = 16;

std::atomic<Precision> precision{Precision::highest};

lt::DataType data_type(DType t) {
  switch (t) {
    case DType::float64_:
      return lt::DataType::r64f;
    case DType::float16_:
      return lt::DataType::r16f;
    case DType::bfloat16_:
      return lt::DataType::r16bf;
    default:
      return lt::DataType::r32f;
  }
}

lt::Compute compute_type(DType t, bool reduced) {
  if (t == DType::float64_) return lt::Compute::f64;
  return t == DType::float32_ && reduced ? lt::Compute::f32_fast_tf32 : lt::Compute::f32;
}

// The power of two, `most` at most, that an address is a multiple of.
uint32_t alignment_of(const void* p, uint32_t most) {
  const uint64_t at = reinterpret_cast<uint64_t>(p) | most;
  return static_cast<uint32_t>(at & (~at + 1));
}

// What an algorithm is chosen for.
struct Problem {
  Shape shape;
  uint32_t alignments[3];
  int32_t device;
  bool reduced;
  bool chosen;  // by measurement, where there was one
  bool operator==(const Problem&) const = default;

  Problem(const Shape& s, const Operands& o, int device)
      : shape(s),
        device(device),
        reduced(s.dtype == DType::float32_ &&
                precision.load(std::memory_order_relaxed) != Precision::highest),
        chosen(ChoiceScope::is_active()) {
    const uint32_t most = chosen ? kSureAlignment : kMostAlignment;
    const void* const operands[] = {o.a, o.b, o.c};
    for (int i = 0; i < 3; ++i) alignments[i] = alignment_of(operands[i], most);
  }
};

std::string text_of(const Side& side) {
  return std::to_string(side.leading) + ',' + std::to_string(side.batch) +
         (side.transposed ? ",t" : ",n");
}

// Names the product in choices; it decides the algorithm but for the device and the library.
std::string text_of(const Problem& p, bool bias) {
  const Shape& s = p.shape;
  std::string text(name_of(s.dtype));
  text += p.reduced ? " tf32" : "";
  for (int64_t size : {s.m, s.n, s.k, s.count}) text += ' ' + std::to_string(size);
  text += ' ' + text_of(s.a) + ' ' + text_of(s.b) + ' ' + text_of({s.c_leading, s.c_batch, false}) +
          (bias ? " bias" : "");
  for (uint32_t a : p.alignments) text += ' ' + std::to_string(a);
  return text;
}

struct HashProblem {
  size_t operator()(const Problem& p) const {
    const Shape& s = p.shape;
    uint64_t h = 0;
    const auto add = [&](uint64_t v) { h = (h ^ v) * 0x9E3779B97F4A7C15u; };
    for (int64_t v : {s.m, s.n, s.k, s.count, s.a.leading, s.b.leading})
      add(static_cast<uint64_t>(v));
    add(static_cast<uint64_t>(s.dtype) | uint64_t{s.a.transposed} << 8 |
        uint64_t{s.b.transposed} << 9 | uint64_t{s.bias} << 10 | uint64_t{p.reduced} << 11 |
        uint64_t{p.chosen} << 12);
    return h ^ h >> 32;
  }
};

lt::DataType scale_type(DType t) {
  return t == DType::float64_ ? lt::DataType::r64f : lt::DataType::r32f;
}

lt::Operation operation(const Side& side) {
  return side.transposed ? lt::Operation::transpose : lt::Operation::none;
}

}  // namespace

// For the library c is b a, all of them transposed as they lie.
class Plan {
 public:
  Plan(const Problem& p, const Operands& o)
      : type_(data_type(p.shape.dtype)),
        device_(p.device),
        descriptor_(compute_type(p.shape.dtype, p.reduced), scale_type(p.shape.dtype)),
        a_(type_, p.shape.a, p.shape.m, p.shape.k, p.shape.count),
        b_(type_, p.shape.b, p.shape.k, p.shape.n, p.shape.count),
        c_(type_, {p.shape.c_leading, p.shape.c_batch, false}, p.shape.m, p.shape.n,
           p.shape.count) {
    const Shape& s = p.shape;
    descriptor_.set(lt::DescriptorAttribute::transpose_a, operation(s.b));
    descriptor_.set(lt::DescriptorAttribute::transpose_b, operation(s.a));
    if (s.bias && s.dtype != DType::float64_) {
      descriptor_.set(lt::DescriptorAttribute::epilogue, lt::Epilogue::bias);
      descriptor_.set(lt::DescriptorAttribute::bias_data_type, type_);
      bias_ = true;
      bias_ = choose(p, o);
      if (!bias_) descriptor_.set(lt::DescriptorAttribute::epilogue, lt::Epilogue::none);
    }
    if (bias_ || choose(p, o)) return;
    throw Error(ErrorKind::device, "cuBLASLt has no algorithm for a product of (" +
                                       std::to_string(s.m) + ", " + std::to_string(s.k) + ") by (" +
                                       std::to_string(s.k) + ", " + std::to_string(s.n) + ")");
  }

  bool adds_bias() const { return bias_; }
  size_t workspace() const { return chosen_.workspace; }
  // Whether there is nothing left to measure.
  bool is_settled() const { return settled_; }

  void run(const Operands& o, Workspace workspace, CUstream stream) {
    lt::check(launch(chosen_.algorithm, o, workspace, stream), "cublasLtMatmul");
  }

 private:
  int launch(const lt::Algorithm& algorithm, const Operands& o, Workspace workspace,
             CUstream stream) {
    if (bias_) descriptor_.set(lt::DescriptorAttribute::bias_pointer, o.bias);
    static constexpr double kOne = 1, kZero = 0;
    static constexpr float kFloatOne = 1, kFloatZero = 0;
    const bool wide = type_ == lt::DataType::r64f;
    const void* one = wide ? static_cast<const void*>(&kOne) : &kFloatOne;
    const void* zero = wide ? static_cast<const void*>(&kZero) : &kFloatZero;
    return lt::library().cublasLtMatmul_(lt::handle_of(device_), descriptor_.made, one, o.b,
                                         b_.made, o.a, a_.made, zero, o.c, c_.made, o.c, c_.made,
                                         &algorithm, workspace.data, workspace.bytes, stream);
  }

  // Chooses an algorithm; false where there is none.
  bool choose(const Problem& p, const Operands& o) {
    if (!p.chosen) return propose(p, {&chosen_, 1}) > 0;
    const std::string product = text_of(p, bias_);
    ChoiceKeeper* const keeper = ChoiceScope::keeper();
    Choice choice;
    if (find_choice(device_, product, choice)) return take(choice);
    if (!keeper) return propose(p, {&chosen_, 1}) > 0;
    if (keeper->recall(product, choice) && take(choice)) {
      set_choice(device_, product, choice);
      return true;
    }
    const std::optional<Choice> found = measure(p, o);
    if (!found) return false;
    set_choice(device_, product, *found);
    keeper->keep(product, *found);
    return take(*found);
  }

  // The library's proposals, best first; how many.
  size_t propose(const Problem& p, std::span<lt::Heuristic> found) {
    lt::MatmulPreference preference;
    preference.set(lt::PreferenceAttribute::most_workspace, kMostWorkspace);
    preference.set(lt::PreferenceAttribute::alignment_a, p.alignments[1]);
    preference.set(lt::PreferenceAttribute::alignment_b, p.alignments[0]);
    preference.set(lt::PreferenceAttribute::alignment_c, p.alignments[2]);
    preference.set(lt::PreferenceAttribute::alignment_d, p.alignments[2]);
    int count = 0;
    const int status = lt::library().cublasLtMatmulAlgoGetHeuristic_(
        lt::handle_of(p.device), descriptor_.made, b_.made, a_.made, c_.made, c_.made,
        preference.made, static_cast<int>(found.size()), found.data(), &count);
    return status == 0 && count > 0 ? static_cast<size_t>(count) : 0;
  }

  // Runs by a choice from now on, unless the library refuses it.
  bool take(const Choice& choice) {
    const int status = lt::library().cublasLtMatmulAlgoCheck_(
        lt::handle_of(device_), descriptor_.made, b_.made, a_.made, c_.made, c_.made,
        &choice.algorithm, &chosen_);
    chosen_.algorithm = choice.algorithm;
    settled_ = status == 0 && chosen_.status == 0 && chosen_.workspace <= kMostWorkspace;
    return settled_;
  }

  std::optional<Choice> measure(const Problem& p, const Operands& o) {
    std::vector<lt::Heuristic> proposals(kMostProposals);
    proposals.resize(propose(p, proposals));
    const Tensor room = empty({int64_t{kMostWorkspace}}, DType::uint8_, cuda_device(device_));
    const Ref<Stream> stream = current_stream(device_);
    const auto attempt = [&](const lt::Heuristic& proposal) {
      return launch(proposal.algorithm, o, {room.bytes(), kMostWorkspace}, stream->handle());
    };
    // Longer than queueing the attempts takes, and the operands leave the nearer memory.
    const auto flush = [&] {
      for (int i = 0; i < 2; ++i) {
        OSTINATO_CUDA(cuMemsetD32Async, reinterpret_cast<CUdeviceptr>(room.bytes()), 0,
                      kMostWorkspace / 4, stream->handle());
      }
    };
    return fastest(proposals, attempt, flush, *stream);
  }

  lt::DataType type_;
  int device_;
  lt::MatmulDescriptor descriptor_;
  lt::SideLayout a_, b_, c_;
  lt::Heuristic chosen_{};
  bool bias_ = false;
  bool settled_ = false;
};

// Plans are of a thread: a call sets the bias in its descriptor, and no lock is taken.
Plan& plan_for(const Shape& shape, const Operands& operands, int device) {
  thread_local std::unordered_map<Problem, std::unique_ptr<Plan>, HashProblem> plans;
  const Problem problem(shape, operands, device);
  std::unique_ptr<Plan>& found = plans[problem];
  if (!found || (ChoiceScope::keeper() && !found->is_settled())) {
    use_device(device);
    found = std::make_unique<Plan>(problem, operands);
  }
  return *found;
}

void set_float32_precision(Precision p) { precision.store(p, std::memory_order_relaxed); }
Precision float32_precision() { return precision.load(std::memory_order_relaxed); }

bool adds_bias(const Plan& plan) { return plan.adds_bias(); }
size_t workspace_bytes(const Plan& plan) { return plan.workspace(); }
void product(Plan& plan, const Operands& operands, Workspace workspace, CUstream stream) {
  plan.run(operands, workspace, stream);
}

}  // namespace ostinato::cuda::blas
