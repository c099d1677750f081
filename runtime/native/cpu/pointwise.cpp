#include "cpu/pointwise.hpp"

#include "core/parallel.hpp"
#include "cpu/convert.hpp"
#include "cpu/strided.hpp"
#include "cuda/pointwise.hpp"

namespace ostinato {
namespace {

constexpr int64_t kGrain = 32768;
constexpr int64_t kBlock =
    256;  // elements converted at a time; a block of each argument fits in L1
static_assert(kMaxPointwise <= kMaxArgs);

// Results, then operands that are present; `wanted` is the dtype that the inner function sees.
struct Arguments {
  int count = 0;
  int results = 0;
  const Tensor* tensor[kMaxPointwise];
  DType wanted[kMaxPointwise];

  void add(const Tensor& t, DType dtype) {
    tensor[count] = &t;
    wanted[count++] = dtype;
  }
};

// Where each argument is one run of elements of the wanted dtype, or one element.
struct Flat {
  char* ptrs[kMaxPointwise];
  int64_t strides[kMaxPointwise];
  alignas(8) char converted[kMaxPointwise][8];

  bool set(const Arguments& args, int64_t n) {
    for (int i = 0; i < args.count; ++i) {
      const Tensor& t = *args.tensor[i];
      const DType wanted = args.wanted[i];
      ptrs[i] = reinterpret_cast<char*>(t.bytes());
      strides[i] = static_cast<int64_t>(size_of(wanted));
      if (t.numel() == 1 && i >= args.results) {
        strides[i] = 0;
        if (t.dtype() == wanted) continue;
        converter(t.dtype(), wanted)(ptrs[i], 0, converted[i], 0, 1);
        ptrs[i] = converted[i];
      } else if (t.dtype() != wanted || !t.contiguous() || t.numel() != n) {
        return false;
      }
    }
    return true;
  }

  void run(InnerFn inner, int count, int64_t n) {
    if (n <= kGrain) return inner(ptrs, strides, n);
    parallel_for(n, kGrain, [&](int64_t begin, int64_t end) {
      char* at[kMaxPointwise];
      for (int i = 0; i < count; ++i) at[i] = ptrs[i] + begin * strides[i];
      inner(at, strides, end - begin);
    });
  }
};

// The inner function behind conversions, for runs of any length.
class Converting {
 public:
  Converting(const Arguments& args, InnerFn inner, const int64_t* strides)
      : args_(args), inner_(inner), outside_(strides) {
    for (int i = 0; i < args.count; ++i) {
      const DType own = args.tensor[i]->dtype();
      inside_[i] = strides[i];
      convert_[i] = nullptr;
      if (own == args.wanted[i]) continue;
      any_ = true;
      const bool result = i < args.results;
      convert_[i] = result ? converter(args.wanted[i], own) : converter(own, args.wanted[i]);
      const bool repeated = strides[i] == 0 && !result;
      inside_[i] = repeated ? 0 : static_cast<int64_t>(size_of(args.wanted[i]));
    }
  }

  void operator()(char* const* ptrs, int64_t n) const {
    if (!any_) return inner_(ptrs, outside_, n);
    alignas(64) char blocks[kMaxPointwise][kBlock * 8];
    for (int64_t done = 0; done < n; done += kBlock) {
      run_block(ptrs, done, std::min(kBlock, n - done), blocks);
    }
  }

 private:
  void run_block(char* const* ptrs, int64_t done, int64_t n, char (*blocks)[kBlock * 8]) const {
    char* at[kMaxPointwise];
    for (int i = 0; i < args_.count; ++i) {
      at[i] = ptrs[i] + done * outside_[i];
      if (convert_[i] == nullptr) continue;
      if (i >= args_.results) {
        convert_[i](at[i], outside_[i], blocks[i], inside_[i], inside_[i] == 0 ? 1 : n);
      }
      at[i] = blocks[i];
    }
    inner_(at, inside_, n);
    for (int i = 0; i < args_.results; ++i) {
      if (convert_[i] == nullptr) continue;
      convert_[i](at[i], inside_[i], ptrs[i] + done * outside_[i], outside_[i], n);
    }
  }

  const Arguments& args_;
  InnerFn inner_;
  const int64_t* outside_;
  int64_t inside_[kMaxPointwise];
  ConvertFn convert_[kMaxPointwise];
  bool any_ = false;
};

void run_strided(const Arguments& args, InnerFn inner) {
  StridedLoop loop;
  const Sizes& shape = args.tensor[0]->sizes();
  loop.begin(shape);
  for (int i = 0; i < args.count; ++i) loop.add(shape, *args.tensor[i]);
  loop.coalesce();
  const Converting convert(args, inner, loop.strides[loop.axes - 1]);
  parallel_for(loop.numel, kGrain,
               [&](int64_t begin, int64_t end) { loop.run(begin, end, convert); });
}

}  // namespace

void run_pointwise(const PointwiseKernel& kernel, std::span<Tensor> results,
                   std::span<const Tensor> operands) {
  const int64_t n = results[0].numel();
  if (n == 0) return;
  if (results[0].device().is_cuda()) return cuda::run_pointwise(kernel, results, operands);
  Arguments args;
  args.results = static_cast<int>(results.size());
  for (const Tensor& t : results) args.add(t, kernel.produces);
  for (size_t i = 0; i < operands.size(); ++i) {
    const Tensor& t = operands[i];
    if (t) args.add(t, (kernel.uncast >> i & 1) != 0 ? t.dtype() : kernel.compute);
  }
  Flat flat;
  if (flat.set(args, n)) return flat.run(kernel.inner, args.count, n);
  run_strided(args, kernel.inner);
}

}  // namespace ostinato
