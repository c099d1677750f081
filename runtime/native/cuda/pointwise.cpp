#include "cuda/pointwise.hpp"

#include "cuda/loop_parts.hpp"
#include "cuda/ops/arguments.hpp"
#include "dispatch/op_table.hpp"

namespace ostinato::cuda {
namespace {

// Whether kernels move several elements of `stored` at once where they compute in `wanted`.
bool is_vectorised(DType stored, DType wanted) {
  return stored == wanted ||
         (wanted == DType::float32_ && (stored == DType::float16_ || stored == DType::bfloat16_));
}

class Loop {
 public:
  Loop(KernelName& kernel, std::span<const LoopArgument> arguments)
      : kernel_(kernel),
        arguments_(arguments),
        count_(static_cast<int>(arguments.size())),
        device_(arguments[0].tensor->device().index) {}

  void run() {
    for (int a = 0; a < count_; ++a) {
      params_.arguments[a] = argument_of(tensor(a), arguments_[a].wanted);
      params_.arguments[a].dtype = arguments_[a].stored;
    }
    if (is_flat()) return run_flat();
    StridedLoop loop;
    const Sizes& shape = tensor(0).sizes();
    loop.begin(shape);
    for (int a = 0; a < count_; ++a) loop.add(shape, tensor(a));
    loop.coalesce();
    for_parts(loop, [this](const StridedLoop& part) { run_strided(part); });
  }

 private:
  const Tensor& tensor(int a) const { return *arguments_[a].tensor; }
  int32_t item(int a) const { return static_cast<int32_t>(size_of(tensor(a).dtype())); }

  // Every operand is one run of elements as the result is, or one element.
  bool is_flat() const {
    const int64_t n = tensor(0).numel();
    for (int a = 0; a < count_; ++a) {
      const Tensor& t = tensor(a);
      if (a > 0 && t.numel() == 1) continue;
      if (!t.contiguous() || t.numel() != n) return false;
    }
    return true;
  }

  void run_flat() {
    const int64_t n = tensor(0).numel();
    constexpr int64_t kMost = int64_t{1} << 27;  // times 8 bytes fits in 31 bits
    params_.axes = 1;
    for (int a = 0; a < count_; ++a) {
      const bool repeats = params_.arguments[a].is_value || (a > 0 && tensor(a).numel() == 1);
      params_.strides[0][a] = repeats ? 0 : item(a);
    }
    for (int64_t first = 0; first < n; first += kMost) {
      launch_loop(std::min(kMost, n - first));
      for (int a = 0; a < count_; ++a) {
        if (params_.strides[0][a] != 0) params_.arguments[a].memory += kMost * item(a);
      }
    }
  }

  void run_strided(const StridedLoop& loop) {
    params_.axes = loop.axes;
    for (int i = 0; i < loop.axes; ++i) {
      const int from = loop.axes - 1 - i;  // parameters have the innermost axis first
      params_.sizes[i] = divider(loop.sizes[from]);
      for (int a = 0; a < count_; ++a) {
        params_.strides[i][a] = static_cast<int32_t>(loop.strides[from][a]);
      }
    }
    for (int a = 0; a < count_; ++a) {
      if (!params_.arguments[a].is_value) params_.arguments[a].memory = loop.data[a];
    }
    launch_loop(loop.numel);
  }

  // Whether runs of kVector elements lie side by side and aligned wherever an argument is not one
  // element for all of them.
  bool is_aligned() const {
    if (params_.axes > 1 && params_.sizes[0].size % kVector != 0) return false;
    for (int a = 0; a < count_; ++a) {
      const Argument& given = params_.arguments[a];
      if (given.is_value || (a > 0 && params_.strides[0][a] == 0)) continue;
      if (params_.strides[0][a] != item(a) || !is_vectorised(given.dtype, arguments_[a].wanted)) {
        return false;
      }
      uint64_t bits = given.bits;
      for (int i = 1; i < params_.axes; ++i) bits |= static_cast<uint32_t>(params_.strides[i][a]);
      const uint64_t together = std::min<uint64_t>(16, static_cast<uint64_t>(item(a)) * kVector);
      if (bits % together != 0) return false;
    }
    return true;
  }

  void launch_loop(int64_t count) {
    params_.count = static_cast<uint32_t>(count);
    params_.vectors = count >= kVector && is_aligned() ? params_.count / kVector : 0;
    const uint32_t work = params_.vectors != 0 ? params_.vectors : params_.count;
    launch(kernel_, device_, grid_for(work, device_), kThreads, 0, params_);
  }

  KernelName& kernel_;
  std::span<const LoopArgument> arguments_;
  int count_;
  int device_;
  PointwiseParams params_;
};

}  // namespace

void run_loop(KernelName& kernel, std::span<const LoopArgument> arguments) {
  Loop(kernel, arguments).run();
}

void run_pointwise(const PointwiseKernel& kernel, std::span<Tensor> results,
                   std::span<const Tensor> operands) {
  LoopArgument arguments[kMostArguments];
  size_t count = 0;
  arguments[count++] = {&results[0], results[0].dtype(), kernel.produces};
  for (size_t i = 0; i < operands.size(); ++i) {
    const Tensor& t = operands[i];
    if (!t) continue;
    const bool own = (kernel.uncast >> i & 1) != 0;
    arguments[count++] = {&t, t.dtype(), own ? DType::bool_ : kernel.compute};
  }
  run_loop(pointwise_kernel(kernel.entry->number), {arguments, count});
}

}  // namespace ostinato::cuda
