#include "program/memory.hpp"

#include <algorithm>

#include "cuda/kernels/slots.hpp"
#include "cuda/memory.hpp"
#include "program/compiled.hpp"

namespace ostinato {
namespace {

Tensor number_of(DType dtype) {
  if (dtype == DType::float64_) return number(0.0);
  if (dtype == DType::int64_) return number(int64_t{0});
  return number(false);
}

// Contiguous, on memory that is somebody else's and is not known yet.
Tensor window(DType dtype, const Sizes& sizes, Device device) {
  Tensor t = shape_only(sizes, dtype);
  const size_t bytes = static_cast<size_t>(t.numel()) * size_of(dtype);
  t->storage = Storage::borrow(nullptr, bytes, device, {});
  return t;
}

// From the place of `p` to the end of its last element.
size_t bytes_reached(const Placed& p) {
  int64_t last = p.start;
  for (int i = 0; i < p.sizes.ssize(); ++i) {
    if (p.sizes[i] == 0) return 0;
    last += std::max<int64_t>((p.sizes[i] - 1) * p.strides[i], 0);
  }
  return static_cast<size_t>(last + 1) * size_of(p.dtype);
}

}  // namespace

Tensor bytes_on(size_t bytes, Device device) {
  return empty(Sizes{static_cast<int64_t>(bytes)}, DType::uint8_, device);
}

Memory::Memory(const CompiledProgram& program, Workspace& workspace)
    : host_(bytes_on(program.host_bytes, kCpu)), constants_(program.constants) {
  if (program.device.is_cuda() && cuda::allocates_directly())
    add_pieces(program);
  else
    arena_ = workspace.arena_of(program.arena_bytes, program.device);
  for (const ProgramInput& i : program.inputs) {
    const Device device = i.host ? kCpu : program.device;
    Tensor whole = i.number ? number_of(i.dtype) : window(i.dtype, i.sizes, device);
    inputs_.push_back({nullptr, std::move(whole), {}});
  }
  for (const ProgramOutput& o : program.outputs) {
    const Device device = o.host ? kCpu : program.device;
    outputs_.push_back({nullptr, window(o.dtype, o.sizes, device), {}});
  }
  for (const Placed& p : program.tensors) views_.push_back(view_of(p));
  size_t count = 0;
  for (const CompiledStep& step : program.steps) {
    count += step.tensors.size() + step.sizes.size();
  }
  pointers_.reserve(count);
  steps_.resize(program.steps.size());
  for (size_t s = 0; s < steps_.size(); ++s) add_step(program, static_cast<int>(s));
}

// A plan for a direct allocator gives no two values the same place.
void Memory::add_pieces(const CompiledProgram& program) {
  std::map<int64_t, size_t> bytes;
  for (const Placed& p : program.tensors) {
    if (p.space != Space::arena) continue;
    size_t& most = bytes[p.place];
    most = std::max(most, bytes_reached(p));
  }
  for (const CompiledStep& step : program.steps) {
    if (step.kind != StepKind::upload) continue;
    for (int t : step.results) {  // slots are stored whole
      const Placed& p = program.tensors[t];
      size_t& most = bytes[p.place];
      most = std::max(most, static_cast<size_t>(p.start) * size_of(p.dtype) + sizeof(cuda::Slot));
    }
  }
  for (const auto& [place, size] : bytes) pieces_[place] = bytes_on(size, program.device);
}

void Memory::add_step(const CompiledProgram& program, int s) {
  const CompiledStep& step = program.steps[s];
  const auto use = [&](int t, int pointer) {
    const Placed& p = program.tensors[t];
    const int64_t offset = p.start * static_cast<int64_t>(size_of(p.dtype));
    if (Movable* m = movable(p)) m->uses.push_back({s, pointer, offset});
  };
  Step& made = steps_[s];
  if (step.kind != StepKind::launch) {
    for (int t : step.tensors) {
      made.operands.push_back(t < 0 ? Tensor() : views_[t]);
      if (t >= 0) use(t, -1);
    }
    for (int t : step.results) {
      made.results.push_back(views_[t]);
      use(t, -1);
    }
    return;
  }
  made.first = static_cast<int>(pointers_.size());
  for (int t : step.tensors) {
    use(t, static_cast<int>(pointers_.size()));
    pointers_.push_back(movable(program.tensors[t]) ? nullptr : views_[t].bytes());
  }
  for (int64_t size : step.sizes) pointers_.push_back(reinterpret_cast<void*>(size));
}

Tensor Memory::view_of(const Placed& p) const {
  if (p.space == Space::constant) return constants_[p.place];
  if (p.space == Space::arena || p.space == Space::host) {
    const auto piece = pieces_.find(p.place);
    const bool apart = p.space == Space::arena && piece != pieces_.end();
    Tensor typed = shape_only(p.sizes, p.dtype);
    typed->storage = (apart ? piece->second : p.space == Space::arena ? arena_ : host_)->storage;
    const int64_t place = apart ? 0 : p.place / static_cast<int64_t>(size_of(p.dtype));
    return as_view(typed, p.sizes, p.strides, place + p.start);
  }
  const Tensor& whole = (p.space == Space::input ? inputs_ : outputs_)[p.place].whole;
  return whole->wrapped ? whole : as_view(whole, p.sizes, p.strides, p.start);
}

Memory::Movable* Memory::movable(const Placed& p) {
  if (p.space == Space::output) return &outputs_[p.place];
  if (p.space != Space::input || inputs_[p.place].whole->wrapped) return nullptr;
  return &inputs_[p.place];
}

void Memory::move(Movable& m, std::byte* data) {
  if (m.data == data) return;
  m.data = data;
  m.whole->storage->point_at(data);
  for (const Use& u : m.uses) {
    if (u.pointer >= 0) pointers_[u.pointer] = data + u.offset;
    if (std::exchange(steps_[u.step].moved, true)) continue;
    moved_.push_back(u.step);
  }
}

void Memory::record_stream(const cuda::Stream& stream) const {
  if (arena_) cuda::record_stream(arena_, stream);
  for (const auto& [place, piece] : pieces_) cuda::record_stream(piece, stream);
}

void Memory::settle() {
  for (int s : moved_) steps_[s].moved = false;
  moved_.clear();
}

}  // namespace ostinato
