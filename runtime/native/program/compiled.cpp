#include "program/compiled.hpp"

#include <chrono>

#include "core/parallel.hpp"
#include "dispatch/op_table.hpp"
#include "dispatch/shape_rules.hpp"

namespace ostinato {
namespace {

Tensor as_number(const Tensor& t, DType dtype) {
  if (t.dtype() == dtype) return t;
  if (dtype == DType::float64_) return number(t.item_double());
  if (dtype == DType::int64_) return number(t.item_int());
  return number(t.item_int() != 0);
}

}  // namespace

// Contiguous inputs of the captured shapes; numbers of the captured dtype.
std::vector<Tensor> CompiledProgram::fitted(std::span<const Tensor> given) const {
  std::vector<Tensor> out;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const ProgramInput& want = inputs[i];
    const Tensor& t = given[i];
    if (want.number) {
      out.push_back(as_number(t, want.dtype));
      continue;
    }
    if (t.sizes() != want.sizes || t.dtype() != want.dtype) {
      throw Error(ErrorKind::shape,
                  "compiled: input " + std::to_string(i) + " has shape " + show(t.sizes()) +
                      " and dtype " + std::string(name_of(t.dtype())) + "; captured were " +
                      show(want.sizes) + " and " + std::string(name_of(want.dtype)));
    }
    out.push_back(contiguous(t));
  }
  return out;
}

Tensor CompiledProgram::tensor_at(const Placed& p, std::span<const Tensor> in,
                                  std::span<const Tensor> out) const {
  if (p.space == Space::constant) return constants[p.place];
  if (p.space == Space::input && inputs[p.place].number) return in[p.place];
  Tensor base = p.space == Space::input    ? in[p.place]
                : p.space == Space::output ? out[p.place]
                                           : arena_;
  int64_t item = static_cast<int64_t>(size_of(p.dtype));
  int64_t first = p.space == Space::arena ? p.place / item : base->offset;
  if (p.space != Space::arena) return as_view(base, p.sizes, p.strides, first + p.start);
  Tensor typed = shape_only(p.sizes, p.dtype);
  typed->storage = arena_->storage;
  return as_view(typed, p.sizes, p.strides, first + p.start);
}

void CompiledProgram::call(const CompiledStep& step, std::span<const Tensor> all) const {
  std::vector<Tensor> operands, results;
  for (int i : step.tensors) operands.push_back(i < 0 ? Tensor() : all[i]);
  for (int i : step.results) results.push_back(all[i]);
  OpCall call{step.op, operands, step.attrs};
  if (step.op->kind == OpKind::pointwise) return run_pointwise_op(call, results);
  if (step.op->kernel) return step.op->kernel(call, results);
  Tensor made[kMaxResults];
  run_op(*step.op, operands, step.attrs, made);
  for (size_t i = 0; i < results.size(); ++i) copy_into(results[i], made[i]);
}

void CompiledProgram::launch(const CompiledStep& step, std::span<const Tensor> all) const {
  SmallVector<void*, 48> buffers;
  for (int i : step.tensors) buffers.push_back(all[i].bytes());
  parallel_for(step.extent, step.grain,
               [&](int64_t begin, int64_t end) { step.kernel(buffers.data(), begin, end); });
}

std::vector<Tensor> CompiledProgram::run(std::span<const Tensor> given, double* seconds) {
  if (given.size() != inputs.size()) {
    throw Error(ErrorKind::value, "compiled: " + std::to_string(given.size()) +
                                      " inputs came; give " + std::to_string(inputs.size()));
  }
  std::lock_guard lock(mutex_);
  if (!arena_) arena_ = empty(Sizes{static_cast<int64_t>(arena_bytes)}, DType::uint8_);
  std::vector<Tensor> in = fitted(given), out(outputs.size()), all(tensors.size());
  for (size_t i = 0; i < outputs.size(); ++i) {
    const ProgramOutput& o = outputs[i];
    if (o.input >= 0)
      out[i] = in[o.input];
    else if (o.writes >= 0)
      out[i] = in[o.writes];
    else
      out[i] = empty(o.sizes, o.dtype);
  }
  for (size_t i = 0; i < tensors.size(); ++i) all[i] = tensor_at(tensors[i], in, out);
  for (const CompiledStep& step : steps) {
    const auto started = std::chrono::steady_clock::now();
    if (step.kernel) {
      launch(step, all);
    } else {
      call(step, all);
    }
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - started;
    if (seconds) *seconds++ = took.count();
  }
  for (size_t i = 0; i < outputs.size(); ++i) {
    int target = outputs[i].writes;
    if (target < 0) continue;
    // A written input that an unchanged one is given to, or whose elements were gathered first.
    if (outputs[i].input >= 0 && outputs[i].input != target)
      copy_into(given[target], in[outputs[i].input]);
    else if (!in[target].same(given[target]))
      copy_into(given[target], in[target]);
    given[target]->storage->bump_version();
    out[i] = given[target];
  }
  return out;
}

}  // namespace ostinato
