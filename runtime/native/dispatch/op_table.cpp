#include "dispatch/op_table.hpp"

#include <cstring>
#include <unordered_map>

#include "ops.hpp"

namespace ostinato {
namespace {

struct Table {
  std::vector<OpInfo> ops;
  std::unordered_map<std::string_view, uint16_t> ids;

  Table() : ops(op::count) {
    fill_op_table(ops.data());
    for (const OpInfo& o : ops) ids.emplace(o.name, o.id);
  }
};

Table& table() {
  static Table t;
  return t;
}

OpInfo& claimed(const char* name) {
  OpInfo* info = find_op(name);
  if (!info) throw Error(ErrorKind::runtime, std::string("a kernel claims the unknown op ") + name);
  return *info;
}

}  // namespace

OpInfo& op_info(uint16_t id) {
  static OpInfo* const ops = table().ops.data();
  return ops[id];
}
uint16_t op_count() { return op::count; }

OpInfo* find_op(std::string_view name) {
  auto it = table().ids.find(name);
  return it == table().ids.end() ? nullptr : &table().ops[it->second];
}

RegisterKernel::RegisterKernel(const char* op, KernelFn fn) { claimed(op).kernel = fn; }
RegisterCudaKernel::RegisterCudaKernel(const char* op, KernelFn fn) {
  claimed(op).cuda_kernel = fn;
}
RegisterKernel::RegisterKernel(const char* op, ViewFn fn) { claimed(op).view_fn = fn; }

void add_pointwise(std::span<const PointwiseEntry> shard) {
  for (const PointwiseEntry& e : shard) {
    PointwiseOp& p = *op_info(e.op).pointwise;
    auto& rows = e.operand < 0 ? p.forward : p.gradient;
    size_t at = e.operand < 0 ? e.variant : e.variant * 8u + static_cast<unsigned>(e.operand);
    if (rows.size() <= at) rows.resize(at + 1, {});
    rows[at][static_cast<int>(e.compute)] = &e;
  }
}

int PointwiseOp::variant_of(const OpCall& call) const {
  if (variant_attr < 0) return 0;
  const std::string& given = call.attr(variant_attr).as_string();
  for (size_t i = 0; i < variants.size(); ++i) {
    if (variants[i] == given) return static_cast<int>(i);
  }
  std::string allowed;
  for (const std::string& v : variants) allowed += (allowed.empty() ? "'" : " or '") + v + "'";
  throw Error(ErrorKind::value, std::string(call.op->name) + ": '" + given + "' is not known for " +
                                    call.op->params[call.operands.size() + variant_attr].name +
                                    "; give " + allowed);
}

const PointwiseEntry* PointwiseOp::find_gradient(int variant, int operand, DType compute) const {
  size_t at = variant * 8u + static_cast<unsigned>(operand);
  return at < gradient.size() ? gradient[at][static_cast<int>(compute)] : nullptr;
}

bool is_differentiable(const OpInfo& op) {
  if (op.id == op::detach) return false;
  if (op.kind == OpKind::pointwise) return op.pointwise->differentiable != 0;
  return op.has_rule || op.kind == OpKind::composite;
}

DType compute_dtype(const OpCall& call) {
  DType d = call.op->pointwise->compute(call);
  return d == DType::float16_ || d == DType::bfloat16_ ? DType::float32_ : d;
}

const PointwiseEntry& forward_entry(const OpCall& call) {
  const PointwiseOp& p = *call.op->pointwise;
  DType compute = compute_dtype(call);
  const auto& row = p.forward[p.variant_of(call)];
  const PointwiseEntry* e = row[static_cast<int>(compute)];
  if (!e && !is_float(compute)) e = row[static_cast<int>(DType::int64_)];
  if (!e) {
    throw Error(ErrorKind::dtype, std::string(call.op->name) + ": dtype " +
                                      std::string(name_of(compute)) +
                                      " is not supported; convert with .to(...) first");
  }
  return *e;
}

void run_pointwise_op(const OpCall& call, std::span<Tensor> results) {
  const PointwiseEntry& e = forward_entry(call);
  run_pointwise({e.inner, &e, e.compute, e.produces, call.op->pointwise->uncast}, results,
                call.operands);
}

}  // namespace ostinato
