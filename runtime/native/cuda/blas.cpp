#include "cuda/blas.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <unordered_map>

#include "core/error.hpp"
#include "cuda/context.hpp"
#include "cuda/cublaslt.hpp"

namespace ostinato::cuda::blas {
namespace {

constexpr uint64_t kMostWorkspace = uint64_t{32} << 20;
constexpr uint32_t kMostAlignment = 256;

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

// The power of two that an address is a multiple of.
uint32_t alignment_of(const void* p) {
  const uint64_t at = reinterpret_cast<uint64_t>(p) | kMostAlignment;
  return static_cast<uint32_t>(at & (~at + 1));
}

// What an algorithm is chosen for.
struct Problem {
  Shape shape;
  uint32_t alignments[3];
  int32_t device;
  bool reduced;
  bool operator==(const Problem&) const = default;

  Problem(const Shape& s, const Operands& o, int device)
      : shape(s),
        alignments{alignment_of(o.a), alignment_of(o.b), alignment_of(o.c)},
        device(device),
        reduced(s.dtype == DType::float32_ &&
                precision.load(std::memory_order_relaxed) != Precision::highest) {}
};

struct HashProblem {
  size_t operator()(const Problem& p) const {
    const Shape& s = p.shape;
    uint64_t h = 0;
    const auto add = [&](uint64_t v) { h = (h ^ v) * 0x9E3779B97F4A7C15u; };
    for (int64_t v : {s.m, s.n, s.k, s.count, s.a.leading, s.b.leading})
      add(static_cast<uint64_t>(v));
    add(static_cast<uint64_t>(s.dtype) | uint64_t{s.a.transposed} << 8 |
        uint64_t{s.b.transposed} << 9 | uint64_t{s.bias} << 10 | uint64_t{p.reduced} << 11);
    return h ^ h >> 32;
  }
};

struct Descriptor {
  lt::Descriptor made = nullptr;

  Descriptor(lt::Compute compute, lt::DataType scale) {
    OSTINATO_CUBLASLT(cublasLtMatmulDescCreate, &made, compute, scale);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { lt::library().cublasLtMatmulDescDestroy_(made); }

  template <class T>
  void set(lt::DescriptorAttribute what, T value) {
    OSTINATO_CUBLASLT(cublasLtMatmulDescSetAttribute, made, what, &value, sizeof value);
  }
};

// A matrix of `rows` by `columns`, or the other way round where it is transposed.
struct Layout {
  lt::Layout made = nullptr;

  Layout(lt::DataType type, const Side& side, int64_t rows, int64_t columns, int64_t count) {
    if (side.transposed) std::swap(rows, columns);
    // The library counts down columns, so it is told the transpose.
    OSTINATO_CUBLASLT(cublasLtMatrixLayoutCreate, &made, type, static_cast<uint64_t>(columns),
                      static_cast<uint64_t>(rows), side.leading);
    set(lt::LayoutAttribute::batch_count, static_cast<int32_t>(count));
    set(lt::LayoutAttribute::strided_batch_offset, side.batch);
  }
  Layout(const Layout&) = delete;
  Layout& operator=(const Layout&) = delete;
  ~Layout() { lt::library().cublasLtMatrixLayoutDestroy_(made); }

 private:
  template <class T>
  void set(lt::LayoutAttribute what, T value) {
    OSTINATO_CUBLASLT(cublasLtMatrixLayoutSetAttribute, made, what, &value, sizeof value);
  }
};

struct Preference {
  lt::Preference made = nullptr;

  Preference() { OSTINATO_CUBLASLT(cublasLtMatmulPreferenceCreate, &made); }
  Preference(const Preference&) = delete;
  Preference& operator=(const Preference&) = delete;
  ~Preference() { lt::library().cublasLtMatmulPreferenceDestroy_(made); }

  template <class T>
  void set(lt::PreferenceAttribute what, T value) {
    OSTINATO_CUBLASLT(cublasLtMatmulPreferenceSetAttribute, made, what, &value, sizeof value);
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
  explicit Plan(const Problem& p)
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
      bias_ = choose(p);
      if (!bias_) descriptor_.set(lt::DescriptorAttribute::epilogue, lt::Epilogue::none);
    }
    if (bias_ || choose(p)) return;
    throw Error(ErrorKind::device, "cuBLASLt has no algorithm for a product of (" +
                                       std::to_string(s.m) + ", " + std::to_string(s.k) + ") by (" +
                                       std::to_string(s.k) + ", " + std::to_string(s.n) + ")");
  }

  bool adds_bias() const { return bias_; }
  size_t workspace() const { return chosen_.workspace; }

  void run(const Operands& o, Workspace workspace, CUstream stream) {
    if (bias_) descriptor_.set(lt::DescriptorAttribute::bias_pointer, o.bias);
    static constexpr double kOne = 1, kZero = 0;
    static constexpr float kFloatOne = 1, kFloatZero = 0;
    const bool wide = type_ == lt::DataType::r64f;
    const void* one = wide ? static_cast<const void*>(&kOne) : &kFloatOne;
    const void* zero = wide ? static_cast<const void*>(&kZero) : &kFloatZero;
    OSTINATO_CUBLASLT(cublasLtMatmul, lt::handle_of(device_), descriptor_.made, one, o.b, b_.made,
                      o.a, a_.made, zero, o.c, c_.made, o.c, c_.made, &chosen_.algorithm,
                      workspace.data, workspace.bytes, stream);
  }

 private:
  // Asks for the best algorithm; false where there is none.
  bool choose(const Problem& p) {
    Preference preference;
    preference.set(lt::PreferenceAttribute::most_workspace, kMostWorkspace);
    preference.set(lt::PreferenceAttribute::alignment_a, p.alignments[1]);
    preference.set(lt::PreferenceAttribute::alignment_b, p.alignments[0]);
    preference.set(lt::PreferenceAttribute::alignment_c, p.alignments[2]);
    preference.set(lt::PreferenceAttribute::alignment_d, p.alignments[2]);
    int found = 0;
    const int status = lt::library().cublasLtMatmulAlgoGetHeuristic_(
        lt::handle_of(p.device), descriptor_.made, b_.made, a_.made, c_.made, c_.made,
        preference.made, 1, &chosen_, &found);
    return status == 0 && found > 0;
  }

  lt::DataType type_;
  int device_;
  Descriptor descriptor_;
  Layout a_, b_, c_;
  lt::Heuristic chosen_{};
  bool bias_ = false;
};

// Plans are of a thread: a call sets the bias in its descriptor, and no lock is taken.
Plan& plan_for(const Shape& shape, const Operands& operands, int device) {
  thread_local std::unordered_map<Problem, std::unique_ptr<Plan>, HashProblem> plans;
  const Problem problem(shape, operands, device);
  std::unique_ptr<Plan>& found = plans[problem];
  if (!found) {
    use_device(device);
    found = std::make_unique<Plan>(problem);
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
