// The table of ops at run time: what ops.cpp (generated) fills and kernels claim.
#pragma once
#include "cpu/isa.hpp"
#include "cpu/pointwise.hpp"
#include "dispatch/op_call.hpp"

namespace ostinato {

struct PointwiseOp {
  DType (*compute)(const OpCall& call);
  int variant_attr;  // the attribute that selects a variant, -1 for none
  std::vector<std::string> variants;
  uint32_t uncast;
  uint32_t differentiable;  // bit i: operand i has a gradient
  // By variant and dtype code; gradients also by operand.
  std::vector<std::array<const PointwiseEntry*, kDTypeCount>> forward = {};
  std::vector<std::array<const PointwiseEntry*, kDTypeCount>> gradient = {};

  int variant_of(const OpCall& call) const;
  const PointwiseEntry* find_gradient(int variant, int operand, DType compute) const;
};

// Whether a result can depend differentiably on an operand.
bool is_differentiable(const OpInfo& op);
// float for the half types, int64 for narrow integers where there is no loop of their own.
DType compute_dtype(const OpCall& call);
const PointwiseEntry& forward_entry(const OpCall& call);
void run_pointwise_op(const OpCall& call, std::span<Tensor> results);

// In ops.cpp, printed from the table.
void fill_op_table(OpInfo* table);
void load_pointwise(Isa isa);
// What a shard of printed kernels adds to the table.
void add_pointwise(std::span<const PointwiseEntry> shard);

}  // namespace ostinato
