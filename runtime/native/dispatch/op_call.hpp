// A call of an op: its operands and attributes, and the table entry that says what to do.
#pragma once
#include <array>
#include <memory>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "core/tensor.hpp"

namespace ostinato {

// An attribute value. Sizes and ints share a representation; None is monostate.
class Attr {
 public:
  Attr() = default;
  Attr(bool v) : value_(v) {}
  Attr(int64_t v) : value_(v) {}
  Attr(double v) : value_(v) {}
  Attr(DType v) : value_(v) {}
  Attr(std::string v) : value_(std::move(v)) {}
  Attr(Sizes v) : value_(std::move(v)) {}

  bool is_none() const { return std::holds_alternative<std::monostate>(value_); }
  bool is_int() const { return std::holds_alternative<int64_t>(value_); }
  bool is_sizes() const { return std::holds_alternative<Sizes>(value_); }
  bool as_bool() const { return std::get<bool>(value_); }
  int64_t as_int() const { return std::get<int64_t>(value_); }
  double as_double() const { return std::get<double>(value_); }
  DType as_dtype() const { return std::get<DType>(value_); }
  const std::string& as_string() const { return std::get<std::string>(value_); }
  const Sizes& as_sizes() const { return std::get<Sizes>(value_); }
  const auto& value() const { return value_; }
  bool operator==(const Attr&) const = default;

 private:
  std::variant<std::monostate, bool, int64_t, double, DType, std::string, Sizes> value_;
};

struct OpInfo;

// Operands in schema order; a list operand (cat) is spliced in, an absent optional one is null.
// Operands before and after a list keep their order; `list_size` counts the spliced ones.
struct OpCall {
  const OpInfo* op;
  std::span<const Tensor> operands;
  std::span<const Attr> attrs;

  const Tensor& operand(int i) const { return operands[i]; }
  const Attr& attr(int i) const { return attrs[i]; }
};

struct TensorMeta {
  DType dtype;
  Sizes sizes;
  Device device = kCpu;  // inference leaves it to `device_of`
};

inline constexpr int kMaxResults = 4;

// Result shapes and dtypes; throws Error. Generated from the table.
using InferFn = void (*)(const OpCall& call, TensorMeta* results);
// Computes into results that are allocated: shape and dtype as inferred, any strides.
using KernelFn = void (*)(const OpCall& call, std::span<Tensor> results);
// Makes the result of a view op: same storage, new geometry (or a fresh tensor where none exists).
using ViewFn = Tensor (*)(const OpCall& call, const TensorMeta& result);

enum class OpKind : uint8_t { pointwise, primitive, composite };

struct Param {
  const char* name;
  std::string_view kind;  // as in ir/op.py
  Attr fallback;
  bool required;
  bool is_operand;
  bool optional;
  const char* other_name;  // that it may be given by as well, or null
};

struct PointwiseOp;  // dispatch/op_table.hpp

struct OpInfo {
  const char* name;
  uint16_t id;
  OpKind kind;
  uint8_t results;
  bool view;
  bool inplace;              // has an in-place form `name_`
  bool method;               // is a method of Tensor
  bool native;               // a kernel claims it; else the body runs as a Program
  bool has_rule;             // has a gradient rule of its own
  bool takes_rng;            // an operand is a random state
  std::string_view keyword;  // `dtype` or `alpha`, which the binder does by ops around this one
  bool reduces;              // over axes: naming none means all
  bool creates;              // makes a tensor where no operand does: `creation_device` places it
  int8_t device_attr;        // the attribute that says where the results lie, -1 for none
  InferFn infer;
  KernelFn kernel;       // set by the kernel's own file
  KernelFn cuda_kernel;  // null: the body of a composite runs, or an error says so
  ViewFn view_fn;
  std::span<const Param> params;
  PointwiseOp* pointwise;
};

// The table, indexed by id; `op_count` entries.
OpInfo& op_info(uint16_t id);
uint16_t op_count();
// By name; null where there is none. For start-up and loading, not for calls.
OpInfo* find_op(std::string_view name);

struct RegisterKernel {
  RegisterKernel(const char* op, KernelFn fn);
  RegisterKernel(const char* op, ViewFn fn);
};
// At namespace scope in a kernel's file: claims op `NAME` for the CPU.
#define OSTINATO_KERNEL(NAME, FN) \
  static const ::ostinato::RegisterKernel register_##NAME { #NAME, FN }

struct RegisterCudaKernel {
  RegisterCudaKernel(const char* op, KernelFn fn);
};
// The same for CUDA devices.
#define OSTINATO_CUDA_KERNEL(NAME, FN) \
  static const ::ostinato::RegisterCudaKernel register_cuda_##NAME { #NAME, FN }

// Where the results of a call lie: on the device of its operands; CPU tensors of no axes and random
// states go along with any. Where no operand says, on the CPU, or for an op that creates tensors
// where `creation_device` says. Throws Error (value) for operands of several devices.
Device device_of(const OpCall& call);
// The kernel of `op` for a device, null where there is none.
inline KernelFn kernel_on(const OpInfo& op, Device device) {
  return device.is_cpu() ? op.kernel : op.cuda_kernel;
}

// Runs one op: infers, allocates, computes, records on the tape or the trace. `results` has room
// for op.results tensors.
void call_op(const OpInfo& op, std::span<const Tensor> operands, std::span<const Attr> attrs,
             Tensor* results);
Tensor call_op(const OpInfo& op, std::span<const Tensor> operands,
               std::span<const Attr> attrs = {});
// The same for kernels and Programs: no tape, no trace.
void run_op(const OpInfo& op, std::span<const Tensor> operands, std::span<const Attr> attrs,
            Tensor* results);
Tensor run_op(const OpInfo& op, std::span<const Tensor> operands, std::span<const Attr> attrs = {});
// Each target, of its result's shape and dtype, takes the result's value. Never recorded by the
// tape; a kernel of an op used so may read an operand only where it writes the same element.
void call_op_into(const OpInfo& op, std::span<const Tensor> operands, std::span<const Attr> attrs,
                  std::span<const Tensor> targets);
// Operand 0 takes the value of the result and keeps its dtype and storage.
void call_op_inplace(const OpInfo& op, std::span<const Tensor> operands,
                     std::span<const Attr> attrs);
// The op `copy` in place, whose source may lie on another device.
void call_copy(const Tensor& self, const Tensor& source, bool non_blocking);

}  // namespace ostinato
