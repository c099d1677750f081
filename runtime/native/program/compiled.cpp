#include "program/compiled.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <numeric>
#include <set>

#include "core/parallel.hpp"
#include "cuda/memory.hpp"
#include "dispatch/op_table.hpp"
#include "dispatch/shape_rules.hpp"
#include "program/cuda/program.hpp"
#include "program/profiler.hpp"

namespace ostinato {
namespace {

// What kernels for CUDA devices are specialised on.
constexpr uintptr_t kAlignment = 16;

template <class T>
void set(std::byte* place, T value) {
  std::memcpy(place, &value, sizeof value);
}

[[noreturn]] void refuse(int input, const TensorImpl* t, const ProgramInput& want) {
  std::string came =
      t ? " has shape " + show(t->sizes) + " and dtype " + std::string(name_of(t->dtype))
        : " is None";
  throw Error(ErrorKind::shape, "compiled: input " + std::to_string(input) + came +
                                    "; captured were " + show(want.sizes) + " and " +
                                    std::string(name_of(want.dtype)));
}

void launch(const CompiledStep& step, void* const* pointers) {
  parallel_for(step.extent, step.grain,
               [&](int64_t begin, int64_t end) { step.kernel(pointers, begin, end); });
}

std::atomic<uint64_t> next_number{0};

}  // namespace

CompiledProgram::CompiledProgram() : number(next_number++) {}
CompiledProgram::~CompiledProgram() = default;

Given Given::number(int input, const Tensor& value) {
  Given g{input};
  if (is_float(value.dtype())) {
    g.real = value.item_double();
    return g;
  }
  g.dtype = value.dtype() == DType::bool_ ? DType::bool_ : DType::int64_;
  g.integer = value.item_int();
  return g;
}

Tensor Given::as_tensor() const {
  if (tensor) return Tensor(tensor);
  if (dtype == DType::float64_) return ostinato::number(real);
  return dtype == DType::int64_ ? ostinato::number(integer) : ostinato::number(integer != 0);
}

Tensor Workspace::arena_of(size_t bytes, Device device) {
  if (!arena || static_cast<size_t>(arena.numel()) < bytes) arena = bytes_on(bytes, device);
  return arena;
}

void CompiledProgram::share(const CompiledProgram& other) {
  object = other.object;
  cubins = other.cubins;
  workspace_ = other.workspace_;
}

void CompiledProgram::keep(int i, Tensor t) {
  std::lock_guard lock(workspace_->mutex);
  kept_.push_back({i, std::move(t)});
}

void CompiledProgram::may_spare(std::span<const int> outputs) {
  std::lock_guard lock(workspace_->mutex);
  spared_ = SparedSteps(*this, outputs);
}

void CompiledProgram::run(std::span<const Given> given, std::span<const int> wanted,
                          Tensor* results, double* seconds) {
  std::lock_guard lock(workspace_->mutex);
  if (given.size() + kept_.size() < inputs.size() || given.size() > inputs.size()) {
    throw Error(ErrorKind::value, "compiled: " + std::to_string(given.size()) +
                                      " inputs came; give " +
                                      std::to_string(inputs.size() - kept_.size()));
  }
  if (device.is_cuda()) cuda::set_memory_holder(lasting_line());
  if (!memory_) prepare();
  struct Release {
    CompiledProgram* program;
    ~Release() { program->release(); }
  } at_end{this};
  bind(given);
  bind_kept();
  spared_.choose(wanted);
  allocate_outputs();
  if (!seconds && Profiler::active())
    run_profiled();
  else
    run_steps(seconds);
  write_back();
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i] != kSpared) results[i] = result(wanted[i]);
  }
}

std::vector<Tensor> CompiledProgram::run(std::span<const Tensor> given, double* seconds) {
  std::vector<int> wanted(outputs.size());
  std::iota(wanted.begin(), wanted.end(), 0);
  return run(given, wanted, seconds);
}

std::vector<Tensor> CompiledProgram::run(std::span<const Tensor> given, std::span<const int> wanted,
                                         double* seconds) {
  std::vector<Given> all;
  all.reserve(given.size());
  for (size_t i = 0; i < given.size(); ++i) {
    const int at = static_cast<int>(i);
    const bool number = i < inputs.size() && inputs[i].number;
    all.push_back(number ? Given::number(at, given[i]) : Given{at, given[i].get()});
  }
  std::vector<Tensor> results(wanted.size());
  run(all, wanted, results.data(), seconds);
  return results;
}

size_t CompiledProgram::scratch_bytes() const { return cuda_ ? cuda_->scratch_bytes() : 0; }

// The first line that a step has, as long as the process lives; null where none has one.
const std::string* CompiledProgram::lasting_line() {
  if (line_) return line_;
  static auto& lines = *new std::set<std::string>;
  static auto& mutex = *new std::mutex;
  const auto has_line = [](const CompiledStep& s) { return !s.location.empty(); };
  const auto found = std::ranges::find_if(steps, has_line);
  if (found == steps.end()) return nullptr;
  const std::lock_guard lock(mutex);
  return line_ = &*lines.insert(found->location).first;
}

// Where this fails the next run tries again.
void CompiledProgram::prepare() {
  memory_.emplace(*this, *workspace_);
  try {
    if (device.is_cuda())
      cuda_ = std::make_unique<CudaProgram>(*this, *memory_, spared_, *workspace_, counters_);
  } catch (...) {
    memory_.reset();
    throw;
  }
  bound_.resize(inputs.size());
  fresh_.resize(outputs.size());
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (outputs[i].writes >= 0)
      written_.push_back(static_cast<int>(i));
    else if (outputs[i].input < 0)
      made_.push_back(static_cast<int>(i));
  }
}

void CompiledProgram::bind(std::span<const Given> given) {
  for (const Given& g : given) {
    if (inputs[g.input].number) {
      bind_number(g);
    } else {
      passing_.push_back(g.input);
      bind_tensor(g.input, g.tensor);
    }
  }
}

// A tensor that is kept lives on, so what was checked once holds while its memory is the same.
void CompiledProgram::bind_kept() {
  for (const Kept& k : kept_) {
    const Bound& b = bound_[k.input];
    const bool is_given = b.tensor && b.tensor != k.tensor.get();
    if (is_given || (b.tensor && b.data == k.tensor.bytes())) continue;
    bind_tensor(k.input, k.tensor.get());
  }
}

void CompiledProgram::bind_tensor(int input, TensorImpl* t) {
  const ProgramInput& want = inputs[input];
  if (!t || t->dtype != want.dtype || t->sizes != want.sizes) refuse(input, t, want);
  check_device(input, t);
  Bound& b = bound_[input];
  b.tensor = t;
  b.data = t->data();
  if (!lies_as_needed(want, t)) {
    b.gathered = gathered(want, t);
    passing_.push_back(input);
    ++counters_.copies;
  }
  memory_->move_input(input, b.gathered ? b.gathered.bytes() : b.data);
}

void CompiledProgram::check_device(int input, TensorImpl* t) const {
  const Device wanted = inputs[input].host ? kCpu : device;
  const Device came = t->storage ? t->storage->device() : kCpu;
  if (came == wanted) return;
  throw Error(ErrorKind::value, "compiled: input " + std::to_string(input) + " lies on " +
                                    show(came) + "; captured was one on " + show(wanted) +
                                    "; move it there with .to(...)");
}

bool CompiledProgram::lies_as_needed(const ProgramInput& want, TensorImpl* t) const {
  if (!t->contiguous) return false;
  const bool aligned = reinterpret_cast<uintptr_t>(t->data()) % kAlignment == 0;
  return aligned || want.host || device.is_cpu();
}

Tensor CompiledProgram::gathered(const ProgramInput& want, TensorImpl* t) const {
  Tensor copy = empty(want.sizes, want.dtype, want.host ? kCpu : device);
  copy_into(copy, Tensor(t));
  return copy;
}

void CompiledProgram::bind_number(const Given& given) {
  const Tensor& number = memory_->number(given.input);
  const bool real = given.dtype == DType::float64_;
  switch (number.dtype()) {
    case DType::float64_:
      return set(number.bytes(), real ? given.real : static_cast<double>(given.integer));
    case DType::int64_:
      return set(number.bytes(), real ? static_cast<int64_t>(given.real) : given.integer);
    default:
      return set(number.bytes(), static_cast<uint8_t>(real ? given.real != 0 : given.integer != 0));
  }
}

void CompiledProgram::allocate_outputs() {
  for (int o : made_) {
    if (spared_.has_output(o)) continue;
    fresh_[o] = empty(outputs[o].sizes, outputs[o].dtype, outputs[o].host ? kCpu : device);
    memory_->move_output(o, fresh_[o].bytes());
  }
}

void CompiledProgram::run_profiled() {
  const std::shared_ptr<Profiler> profiler = Profiler::active();
  if (!profiler) return run_steps(nullptr);
  ProfiledRun run;
  if (profiler->measures(*this)) run.seconds.assign(steps.size(), kNotRun);
  run.started = profiler->now();
  run_steps(run.seconds.empty() ? nullptr : run.seconds.data());
  run.taken = profiler->now() - run.started;
  profiler->add(*this, std::move(run));
}

void CompiledProgram::run_steps(double* seconds) {
  if (cuda_) return cuda_->run(seconds);
  using Clock = std::chrono::steady_clock;
  for (size_t s = 0; s < steps.size(); ++s) {
    if (spared_.has_step(s)) continue;
    const Clock::time_point started = seconds ? Clock::now() : Clock::time_point();
    if (steps[s].kernel)
      launch(steps[s], memory_->pointers(s));
    else
      run_call(steps[s], memory_->operands(s), memory_->results(s), kCpu);
    if (seconds) seconds[s] = std::chrono::duration<double>(Clock::now() - started).count();
  }
  memory_->settle();
}

void CompiledProgram::write_back() {
  for (int o : written_) {
    const ProgramOutput& output = outputs[o];
    const Bound& target = bound_[output.writes];
    // A written input that an unchanged one is given to, or whose elements were gathered first.
    if (output.input >= 0 && output.input != output.writes)
      copy_into(Tensor(target.tensor), elements_of(output.input));
    else if (target.gathered)
      copy_into(Tensor(target.tensor), target.gathered);
    target.tensor->storage->bump_version();
  }
}

Tensor CompiledProgram::elements_of(int input) const {
  if (inputs[input].number) return memory_->number(input);
  const Bound& b = bound_[input];
  return b.gathered ? b.gathered : Tensor(b.tensor);
}

Tensor CompiledProgram::result(int output) const {
  const ProgramOutput& o = outputs[output];
  if (o.writes >= 0) return Tensor(bound_[o.writes].tensor);
  if (o.input < 0) return fresh_[output];
  if (!inputs[o.input].number) return Tensor(bound_[o.input].tensor);
  Tensor number = as_view(memory_->number(o.input), {}, {}, 0);
  number->wrapped = true;
  return number;
}

void CompiledProgram::release() {
  for (int i : passing_) bound_[i] = {};
  passing_.clear();
  for (int o : made_) fresh_[o] = {};
}

}  // namespace ostinato
