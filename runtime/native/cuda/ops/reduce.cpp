// Reductions over axes: sum, prod, mean, var, std, amax, amin, any, all, argmax, argmin.
#include "cpu/reduce.hpp"

#include <limits>

#include "cpu/checks.hpp"
#include "cpu/copy.hpp"
#include "cuda/axes.hpp"
#include "cuda/kernels/reduce.hpp"
#include "cuda/ops/arguments.hpp"
#include "dispatch/op_call.hpp"
#include "dispatch/shape_rules.hpp"

namespace ostinato::cuda {
namespace {

struct Kernels {
  KernelName rows, columns, states;
  KernelName* wide = nullptr;  // of columns that lie side by side in vectors
};
#define OSTINATO_REDUCTION_KERNELS(LIBRARY, NAME, ...) \
  {{LIBRARY, NAME "_rows"},                            \
   {LIBRARY, NAME "_columns"},                         \
   {LIBRARY, NAME "_states"} __VA_OPT__(, ) __VA_ARGS__}
#define OSTINATO_ADDING(NAME, ...) \
  OSTINATO_REDUCTION_KERNELS("reduce_add", NAME __VA_OPT__(, ) __VA_ARGS__)
#define OSTINATO_CHOOSING(NAME) OSTINATO_REDUCTION_KERNELS("reduce_choose", NAME)

KernelName wide_sums[] = {{"reduce_add", "sum_float32_wide"}, {"reduce_add", "sum_float64_wide"}};

// By the dtype that elements are read as: float32, float64, int64, bool.
Kernels sums[] = {OSTINATO_ADDING("sum_float32", &wide_sums[0]),
                  OSTINATO_ADDING("sum_float64", &wide_sums[1]), OSTINATO_ADDING("sum_int64")};
Kernels products[] = {OSTINATO_ADDING("prod_float32"), OSTINATO_ADDING("prod_float64"),
                      OSTINATO_ADDING("prod_int64")};
Kernels variances[] = {OSTINATO_ADDING("var_float32"), OSTINATO_ADDING("var_float64")};
Kernels maxima[] = {OSTINATO_CHOOSING("amax_float32"), OSTINATO_CHOOSING("amax_float64"),
                    OSTINATO_CHOOSING("amax_int64"), OSTINATO_CHOOSING("amax_bool")};
Kernels minima[] = {OSTINATO_CHOOSING("amin_float32"), OSTINATO_CHOOSING("amin_float64"),
                    OSTINATO_CHOOSING("amin_int64"), OSTINATO_CHOOSING("amin_bool")};
Kernels highest[] = {OSTINATO_CHOOSING("argmax_float32"), OSTINATO_CHOOSING("argmax_float64"),
                     OSTINATO_CHOOSING("argmax_int64")};
Kernels lowest[] = {OSTINATO_CHOOSING("argmin_float32"), OSTINATO_CHOOSING("argmin_float64"),
                    OSTINATO_CHOOSING("argmin_int64")};

int number_of(DType t) { return t == DType::float64_ ? 1 : is_float(t) ? 0 : 2; }

constexpr int64_t kStateBytes = 24;  // of the largest state
constexpr int64_t kEnoughBlocks =
    512;                            // to fill a GPU; no larger, so that results do not depend on it
constexpr int64_t kRowPart = 4096;  // elements that a block reduces at least: of a row,
constexpr int64_t kColumnPart = 128;  // of columns
constexpr int64_t kWidePart = 32;     // of columns in vectors
constexpr int64_t kMostSplits = 1024;

struct Reduction {
  Kernels* kernels;
  double divisor = 0.0;
  bool root = false;
};

// Whether elements move in vectors where `axis` is the one that those go along.
bool has_vectors(const ReduceParams& p, DType read_as, const Axes& axis, const Axes& others) {
  const uint64_t item = size_of(p.from_dtype);
  const bool known = p.from_dtype == read_as ||
                     (read_as == DType::float32_ && is_float(p.from_dtype) && item == 2);
  if (!known || axis.count == 0 || axis.strides[0] != static_cast<int64_t>(item)) return false;
  uint64_t bits = reinterpret_cast<uint64_t>(p.from);
  for (int i = 1; i < axis.count; ++i) bits |= static_cast<uint64_t>(axis.strides[i]);
  for (int i = 0; i < others.count; ++i) bits |= static_cast<uint64_t>(others.strides[i]);
  return bits % std::min<uint64_t>(16, item * kVector) == 0;
}

bool is_dense(const ReduceParams& p, DType read_as) {
  return p.reduced.count == 1 && has_vectors(p, read_as, p.reduced, p.kept);
}

bool is_wide(const ReduceParams& p, DType read_as) {
  return has_vectors(p, read_as, p.kept, p.reduced) && p.kept.sizes[0].size % kVector == 0;
}

// Whether results lie side by side where the elements of one do not.
bool has_columns(const ReduceParams& p) {
  if (p.reduced.count == 0 || p.kept.count == 0) return false;
  return std::abs(p.kept.strides[0]) < std::abs(p.reduced.strides[0]);
}

uint32_t lanes_of(int64_t rows, int64_t n) {
  if (n > 1024 || (n > 128 && rows < 64)) return kThreads;
  uint32_t lanes = 1;
  while (lanes < 32 && lanes * kVector < n) lanes *= 2;
  return lanes;
}

class Launches {
 public:
  Launches(Reduction reduction, DType read_as, const ReduceParams& params, int device)
      : kernels_(*reduction.kernels), read_as_(read_as), params_(params), device_(device) {}

  void run() {
    const bool columns = has_columns(params_);
    params_.lanes = lanes_of(params_.rows, params_.n);
    const bool wide = columns && kernels_.wide && is_wide(params_, read_as_);
    const uint32_t together = wide      ? kReduceColumns * kVector
                              : columns ? kReduceColumns
                                        : kThreads / params_.lanes;
    const uint32_t across = (params_.rows + together - 1) / together;
    split(across, wide ? kWidePart : columns ? kColumnPart : kRowPart);
    Tensor states;
    if (params_.splits > 1) {
      states = empty({int64_t{params_.rows} * params_.splits * kStateBytes}, DType::uint8_,
                     cuda_device(device_));
      params_.states = states.bytes();
    }
    void* arguments[] = {&params_};
    const Grid block = columns ? Grid{kReduceColumns, kReduceRows} : Grid{kThreads};
    KernelName& first = wide ? *kernels_.wide : columns ? kernels_.columns : kernels_.rows;
    launch(first.on(device_), device_, {across, params_.splits}, block, 0, arguments);
    if (params_.splits == 1) return;
    constexpr uint32_t kWarps = kThreads / 32;
    launch(kernels_.states.on(device_), device_, {(params_.rows + kWarps - 1) / kWarps}, {kThreads},
           0, arguments);
  }

 private:
  void split(int64_t across, int64_t least) {
    const int64_t n = params_.n;
    const int64_t wanted =
        std::min({(kEnoughBlocks + across - 1) / across, n / least, kMostSplits});
    const int64_t splits = std::max<int64_t>(1, wanted);
    const int64_t part = ((n + splits - 1) / splits + kVector - 1) / kVector * kVector;
    params_.part = static_cast<uint32_t>(std::max<int64_t>(part, 1));
    params_.splits = n == 0 ? 1 : static_cast<uint32_t>((n + part - 1) / part);
  }

  Kernels& kernels_;
  DType read_as_;
  ReduceParams params_;
  int device_;
};

// Elements of `x` are read as `read_as`.
void reduce(const OpCall& call, Reduction reduction, DType read_as, const Tensor& given_result) {
  if (given_result.numel() == 0) return;
  const ResultBuffer result(given_result, given_result.dtype());
  Tensor x = call.operand(0);
  Sizes marks = reduced_axes(call.op->name, call.attr(0), x.sizes());
  ReduceParams p;
  check_size(call.op->name, std::max(x.numel(), given_result.numel()));
  const int64_t rows = result.tensor().numel();
  if (x.numel() == 0) {
    p.kept.count = p.reduced.count = 0;
  } else if (!fill_axes(p.kept, x, marks, false) || !fill_axes(p.reduced, x, marks, true)) {
    x = contiguous(reduced_last(x, marks));
    const int64_t n = x.numel() / rows, item = static_cast<int64_t>(size_of(x.dtype()));
    p.kept.count = p.reduced.count = 0;
    add_axis(p.kept, rows, n * item);
    add_axis(p.reduced, n, item);
  }
  p.from = reinterpret_cast<const char*>(x.bytes());
  p.to = reinterpret_cast<char*>(result.tensor().bytes());
  p.from_dtype = x.dtype();
  p.to_dtype = result.tensor().dtype();
  p.rows = static_cast<uint32_t>(rows);
  p.n = static_cast<uint32_t>(x.numel() / rows);
  p.is_dense = is_dense(p, read_as);
  p.root = reduction.root;
  p.divisor = reduction.divisor;
  Launches(reduction, read_as, p, x.device().index).run();
  result.store();
}

int64_t elements_each(const OpCall& call, const Tensor& result) {
  return result.numel() == 0 ? 1 : call.operand(0).numel() / result.numel();
}

void reduce_numbers(const OpCall& call, std::span<Tensor> out, Kernels* kernels,
                    double divisor = 0.0) {
  const int number = number_of(call.operand(0).dtype());
  constexpr DType kReadAs[] = {DType::float32_, DType::float64_, DType::int64_};
  reduce(call, {kernels + number, divisor}, kReadAs[number], out[0]);
}

void sum(const OpCall& call, std::span<Tensor> out) { reduce_numbers(call, out, sums); }
OSTINATO_CUDA_KERNEL(sum, sum);

void prod(const OpCall& call, std::span<Tensor> out) { reduce_numbers(call, out, products); }
OSTINATO_CUDA_KERNEL(prod, prod);

void mean(const OpCall& call, std::span<Tensor> out) {
  const int64_t n = elements_each(call, out[0]);
  reduce_numbers(call, out, sums,
                 n == 0 ? std::numeric_limits<double>::quiet_NaN() : static_cast<double>(n));
}
OSTINATO_CUDA_KERNEL(mean, mean);

void spread(const OpCall& call, const Tensor& result, bool root) {
  const int64_t n = elements_each(call, result);
  const double divisor = std::max(static_cast<double>(n) - call.attr(1).as_double(), 0.0);
  const DType dtype = compute_dtype(call.operand(0).dtype());
  reduce(call, {variances + number_of(dtype), divisor, root}, dtype, result);
}

void var(const OpCall& call, std::span<Tensor> out) { spread(call, out[0], false); }
OSTINATO_CUDA_KERNEL(var, var);

void std_(const OpCall& call, std::span<Tensor> out) { spread(call, out[0], true); }
OSTINATO_CUDA_KERNEL(std, std_);

void choose(const OpCall& call, std::span<Tensor> out, Kernels* kernels) {
  check_has_elements(call, out[0]);
  reduce_numbers(call, out, kernels);
}

void amax(const OpCall& call, std::span<Tensor> out) { choose(call, out, maxima); }
OSTINATO_CUDA_KERNEL(amax, amax);

void amin(const OpCall& call, std::span<Tensor> out) { choose(call, out, minima); }
OSTINATO_CUDA_KERNEL(amin, amin);

void argmax(const OpCall& call, std::span<Tensor> out) { choose(call, out, highest); }
OSTINATO_CUDA_KERNEL(argmax, argmax);

void argmin(const OpCall& call, std::span<Tensor> out) { choose(call, out, lowest); }
OSTINATO_CUDA_KERNEL(argmin, argmin);

void any(const OpCall& call, std::span<Tensor> out) {
  reduce(call, {maxima + 3}, DType::bool_, out[0]);
}
OSTINATO_CUDA_KERNEL(any, any);

void all(const OpCall& call, std::span<Tensor> out) {
  reduce(call, {minima + 3}, DType::bool_, out[0]);
}
OSTINATO_CUDA_KERNEL(all, all);

}  // namespace
}  // namespace ostinato::cuda
