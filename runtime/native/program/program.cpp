#include "program/program.hpp"

#include "ops.hpp"
#include "program/pointwise_gradient.hpp"
#include "program/sum_selected.hpp"

namespace ostinato {
namespace {

using Calls = std::span<const CallShapes>;

int64_t symbol(const SizeStep& step, const CallShapes& call) {
  if (step.kind == SizeStep::operand) return call.operands[step.a][step.b];
  if (step.kind == SizeStep::result) return call.results[step.a][step.b];
  const Attr& attr = call.attrs[step.a];
  return step.b < 0 ? attr.as_int() : attr.as_sizes()[step.b];
}

int64_t apply(SizeStep::Kind kind, int64_t a, int64_t b) {
  switch (kind) {
    case SizeStep::add:
      return a + b;
    case SizeStep::sub:
      return a - b;
    case SizeStep::mul:
      return a * b;
    case SizeStep::div:
      return b ? a / b : 0;
    case SizeStep::max:
      return std::max(a, b);
    default:
      return std::min(a, b);
  }
}

int64_t evaluate(const SizeCode& code, Calls calls) {
  int64_t stack[kSizeDepth];
  int top = 0;
  for (const SizeStep& step : code) {
    if (step.kind == SizeStep::constant) {
      stack[top++] = step.a;
    } else if (step.kind <= SizeStep::attr) {
      stack[top++] = symbol(step, calls[step.call]);
    } else {
      --top;
      stack[top - 1] = apply(step.kind, stack[top - 1], stack[top]);
    }
  }
  return stack[0];
}

Attr evaluate(const AttrTemplate& t, Calls calls) {
  if (t.sizes.empty() && !t.list) return t.constant;
  if (!t.list) return Attr(evaluate(t.sizes[0], calls));
  Sizes out;
  for (const SizeCode& code : t.sizes) out.push_back(evaluate(code, calls));
  return Attr(std::move(out));
}

// Nobody but the caller can see the memory of `t`, and it lies as a fresh result would.
bool is_sole_owner(const Tensor& t) {
  return t->use_count() == 1 && t->storage && t->storage->use_count() == 1 && t.contiguous();
}

Tensor add(std::span<Tensor> operands) {
  const Tensor &a = operands[0], &b = operands[1];
  if (is_sole_owner(a) && a.sizes() == b.sizes() && a.dtype() == b.dtype()) {
    call_op_inplace(op_info(op::add), operands, {});
    return std::move(operands[0]);
  }
  return run_op(op_info(op::add), operands);
}

class Run {
 public:
  Run(const Program& program, Calls calls, bool record, TapeSteps* tape)
      : slots_(program.slots), calls_(calls), record_(record), tape_(tape) {
    for (const auto& [slot, value] : program.numbers) slots_[slot] = value;
  }

  std::span<Tensor> slots() { return slots_; }

  void step(const Instruction& s) {
    switch (s.kind) {
      case Instruction::enter:
        return tape_->enter(s, slots_);
      case Instruction::leave:
        return tape_->leave(s);
      default:
        break;
    }
    gather(s);
    results_.resize(std::max<size_t>(s.results.size(), kMaxResults));
    compute(s, results_.data());
    operands_.clear();
    for (size_t i = 0; i < s.results.size(); ++i) {
      Tensor made = std::move(results_[i]);
      if (s.results[i] >= 0) slots_[s.results[i]] = std::move(made);
    }
  }

 private:
  void gather(const Instruction& s) {
    for (int slot : s.operands) operands_.push_back(slot < 0 ? Tensor() : slots_[slot]);
    for (int i : s.last) slots_[s.operands[i]] = Tensor();
  }

  void compute(const Instruction& s, Tensor* results) {
    switch (s.kind) {
      case Instruction::add:
        results[0] = record_ ? call_op(op_info(op::add), operands_) : add(operands_);
        return;
      case Instruction::sum_selected:
        evaluate_attrs(s);
        results[0] =
            sum_selected(operands_, attrs_[0].as_int(), attrs_[1].as_sizes(), attrs_[2].as_sizes());
        return;
      case Instruction::gradient: {
        const CallShapes& call = calls_[s.served];
        results[0] = pointwise_gradient(
            {*s.entry, s.op->pointwise->uncast, call.results[0], call.operands[s.operand], s.dtype},
            operands_);
        return;
      }
      case Instruction::function:
        return tape_->function(s, operands_, results);
      case Instruction::deliver:
        return tape_->deliver(s, std::move(operands_[0]));
      default:
        call(s, results);
    }
  }

  void evaluate_attrs(const Instruction& s) {
    attrs_.clear();
    for (const AttrTemplate& t : s.attrs) attrs_.push_back(evaluate(t, calls_));
  }

  void call(const Instruction& s, Tensor* results) {
    evaluate_attrs(s);
    if (record_) return call_op(*s.op, operands_, attrs_, results);
    if (!tape_ || !s.op->creates) return run_op(*s.op, operands_, attrs_, results);
    const DeviceScope scope(tape_->device(s));
    run_op(*s.op, operands_, attrs_, results);
  }

  std::vector<Tensor> slots_;
  Calls calls_;
  bool record_;
  TapeSteps* tape_;
  std::vector<Tensor> operands_, results_;
  std::vector<Attr> attrs_;
};

// Where ops of a Program that have no operand make their tensors.
Device device_among(std::span<const Tensor> inputs) {
  for (const Tensor& t : inputs) {
    if (t && t.device().is_cuda()) return t.device();
  }
  return kCpu;
}

}  // namespace

void run_program(const Program& program, std::span<const Tensor> inputs,
                 std::span<const CallShapes> calls, bool record, Tensor* outputs, TapeSteps* tape) {
  const DeviceScope scope(device_among(inputs));
  Run run(program, calls, record, tape);
  std::copy(inputs.begin(), inputs.end(), run.slots().begin());
  for (const Instruction& step : program.instructions) run.step(step);
  for (size_t i = 0; i < program.outputs.size(); ++i) {
    outputs[i] = program.outputs[i] < 0 ? Tensor() : run.slots()[program.outputs[i]];
  }
}

}  // namespace ostinato
