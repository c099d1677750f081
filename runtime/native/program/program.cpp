#include "program/program.hpp"

#include <atomic>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <unordered_map>

namespace ostinato {
namespace {

DeriveFn derive = nullptr;
std::atomic<int64_t> derived{0};

int64_t evaluate(const SizeCode& code, const CallShapes& shapes) {
  int64_t stack[16];
  int top = 0;
  for (const SizeStep& step : code) {
    switch (step.kind) {
      case SizeStep::constant:
        stack[top++] = step.a;
        continue;
      case SizeStep::operand:
        stack[top++] = shapes.operands[step.a][step.b];
        continue;
      case SizeStep::result:
        stack[top++] = shapes.results[step.a][step.b];
        continue;
      case SizeStep::attr: {
        const Attr& attr = shapes.attrs[step.a];
        stack[top++] = step.b < 0 ? attr.as_int() : attr.as_sizes()[step.b];
        continue;
      }
      default:
        break;
    }
    int64_t b = stack[--top], a = stack[--top];
    switch (step.kind) {
      case SizeStep::add:
        a += b;
        break;
      case SizeStep::sub:
        a -= b;
        break;
      case SizeStep::mul:
        a *= b;
        break;
      case SizeStep::div:
        a = b ? a / b : 0;
        break;
      case SizeStep::max:
        a = std::max(a, b);
        break;
      default:
        a = std::min(a, b);
        break;
    }
    stack[top++] = a;
  }
  return stack[0];
}

Attr evaluate(const AttrTemplate& t, const CallShapes& shapes) {
  if (t.sizes.empty() && !t.list) return t.constant;
  if (!t.list) return Attr(evaluate(t.sizes[0], shapes));
  Sizes out;
  for (const SizeCode& code : t.sizes) out.push_back(evaluate(code, shapes));
  return Attr(std::move(out));
}

template <class T>
void append(std::string& key, T v) {
  key.append(reinterpret_cast<const char*>(&v), sizeof v);
}

void append_tensor(std::string& key, const Tensor& t) {
  if (!t) return append(key, uint8_t{255});
  uint32_t ones = 0;
  for (int i = 0; i < t.ndim(); ++i) ones |= static_cast<uint32_t>(t.sizes()[i] == 1) << i;
  append(key, static_cast<uint8_t>(t.dtype()));
  append(key, static_cast<uint8_t>(t.ndim() * 2 + t->wrapped));
  append(key, ones);
}

void append_attr(std::string& key, const Attr& attr, const Param& param) {
  append(key, static_cast<uint8_t>(attr.value().index()));
  std::string_view kind = param.kind;
  if (kind == "size") return;
  if (kind == "sizes") return append(key, static_cast<uint8_t>(attr.as_sizes().size()));
  std::visit(
      [&](const auto& v) {
        using V = std::decay_t<decltype(v)>;
        if constexpr (std::is_same_v<V, std::string>) {
          append(key, static_cast<uint16_t>(v.size()));
          key += v;
        } else if constexpr (std::is_same_v<V, Sizes>) {
          append(key, static_cast<uint8_t>(v.size()));
          for (int64_t s : v) append(key, s);
        } else if constexpr (!std::is_same_v<V, std::monostate>) {
          append(key, v);
        }
      },
      attr.value());
}

// The key is built in a buffer of the thread, which keeps its capacity.
const std::string& key_of(ProgramKind kind, const OpCall& call, std::span<const Tensor> results,
                          uint32_t wanted) {
  thread_local std::string key;
  key.clear();
  append(key, kind);
  append(key, call.op->id);
  append(key, wanted);
  append(key, static_cast<uint16_t>(call.operands.size()));
  for (const Tensor& t : call.operands) append_tensor(key, t);
  for (const Tensor& t : results) append_tensor(key, t);
  size_t at = 0;
  for (const Param& p : call.op->params) {
    if (!p.is_operand) append_attr(key, call.attrs[at++], p);
  }
  return key;
}

using Cache = std::unordered_map<std::string, const Program*>;

}  // namespace

void set_derive(DeriveFn fn) { derive = fn; }
int64_t derived_count() { return derived; }

const Program& find_program(ProgramKind kind, const OpCall& call, std::span<const Tensor> results,
                            uint32_t wanted) {
  thread_local Cache mine;  // so that a hit takes no lock
  static Cache& everyone = *new Cache;
  static std::shared_mutex mutex;
  const std::string& key = key_of(kind, call, results, wanted);
  if (auto it = mine.find(key); it != mine.end()) return *it->second;
  std::string owned = key;
  const Program* found = nullptr;
  {
    std::shared_lock lock(mutex);
    if (auto it = everyone.find(owned); it != everyone.end()) found = it->second;
  }
  if (!found) {
    const Program* made = derive(kind, call, results, wanted);  // no lock held: it takes the GIL
    ++derived;
    std::unique_lock lock(mutex);
    found = everyone.try_emplace(owned, made).first->second;
  }
  mine.emplace(std::move(owned), found);
  return *found;
}

void run_program(const Program& program, std::span<const Tensor> inputs, const CallShapes& shapes,
                 bool record, Tensor* outputs) {
  std::vector<Tensor> slots(program.slots);
  std::copy(inputs.begin(), inputs.end(), slots.begin());
  for (const auto& [slot, value] : program.numbers) slots[slot] = value;
  std::vector<Tensor> operands;
  std::vector<Attr> attrs;
  for (const Instruction& step : program.instructions) {
    operands.clear();
    attrs.clear();
    for (int s : step.operands) operands.push_back(s < 0 ? Tensor() : slots[s]);
    for (const AttrTemplate& t : step.attrs) attrs.push_back(evaluate(t, shapes));
    Tensor results[kMaxResults];
    if (record)
      call_op(*step.op, operands, attrs, results);
    else
      run_op(*step.op, operands, attrs, results);
    for (size_t i = 0; i < step.results.size(); ++i) slots[step.results[i]] = std::move(results[i]);
    for (int s : step.frees) slots[s] = Tensor();
  }
  for (size_t i = 0; i < program.outputs.size(); ++i) {
    outputs[i] = program.outputs[i] < 0 ? Tensor() : slots[program.outputs[i]];
  }
}

}  // namespace ostinato
