#include "core/tensor.hpp"

#include <cstring>
#include <new>

#include "core/allocator.hpp"
#include "core/scratch.hpp"
#include "cuda/copy.hpp"
#include "cuda/memory.hpp"
#include "cuda/pinned.hpp"

namespace ostinato {
namespace {

// Small tensors keep their elements in the block of the storage object, after it.
constexpr size_t kHeader = 128;
constexpr size_t kTogether = size_t{32} << 10;
static_assert(sizeof(Storage) <= kHeader);

constexpr SizeClass kImplClass = class_of(sizeof(TensorImpl));

SizeClass header_class() { return class_of(kHeader); }

bool is_row_major(const Sizes& sizes, const Sizes& strides) {
  int64_t expected = 1;
  for (int i = sizes.ssize() - 1; i >= 0; --i) {
    if (sizes[i] == 1) continue;
    if (strides[i] != expected) return false;
    expected *= sizes[i];
  }
  return true;
}

Ref<TensorImpl> make_impl() {
  SizeClass c = kImplClass;
  return Ref<TensorImpl>(new (allocate_block(c)) TensorImpl);
}

template <class T>
Tensor make_number(T value, DType dtype) {
  Ref<TensorImpl> t = make_impl();
  t->dtype = dtype;
  t->wrapped = true;
  std::memcpy(t->inline_data, &value, sizeof(T));
  return Tensor(std::move(t));
}

// The element at `p`, converted as C++ converts.
template <class To>
To element(DType dtype, const std::byte* p) {
  const auto read = [p]<class T>(T value) {
    std::memcpy(&value, p, sizeof(T));
    return value;
  };
  switch (dtype) {
    case DType::bool_:
      return static_cast<To>(read(uint8_t{}) != 0);
    case DType::uint8_:
      return static_cast<To>(read(uint8_t{}));
    case DType::int8_:
      return static_cast<To>(read(int8_t{}));
    case DType::int16_:
      return static_cast<To>(read(int16_t{}));
    case DType::int32_:
      return static_cast<To>(read(int32_t{}));
    case DType::int64_:
      return static_cast<To>(read(int64_t{}));
    case DType::float16_:
      return static_cast<To>(to_float(read(Half{})));
    case DType::bfloat16_:
      return static_cast<To>(to_float(read(BFloat16{})));
    case DType::float32_:
      return static_cast<To>(read(float{}));
    case DType::float64_:
      return static_cast<To>(read(double{}));
  }
  __builtin_unreachable();
}

std::atomic<uint64_t> changes{1};

}  // namespace

Ref<Storage> Storage::allocate(size_t bytes, Device device) {
  Scratch* const scratch = device.is_cuda() ? Scratch::active() : nullptr;
  return scratch ? scratch->take(bytes, device) : allocate_outside(bytes, device);
}

Ref<Storage> Storage::allocate_outside(size_t bytes, Device device) {
  if (device.is_cuda()) {
    cuda::Block* block = cuda::allocate_block(device.index, bytes);
    Ref<Storage> s = borrow(cuda::data_of(block), bytes, device, {});
    s->block_ = block;
    s->memory_ = Memory::on_device;
    return s;
  }
  const bool together = bytes <= kTogether;
  SizeClass c = class_of(together ? kHeader + bytes : kHeader);
  void* place = allocate_block(c);
  Storage* s = new (place) Storage;
  s->bytes_ = bytes;
  s->size_class_ = c;
  s->memory_ = Memory::with_header;
  if (together) {
    s->data_ = static_cast<std::byte*>(place) + kHeader;
  } else {
    c = class_of(bytes);
    try {
      s->data_ = static_cast<std::byte*>(allocate_block(c));
    } catch (...) {
      free_block(place, header_class());
      throw;
    }
    s->size_class_ = c;
    s->memory_ = Memory::own_block;
  }
  count_allocated(static_cast<int64_t>(bytes));
  return Ref<Storage>(s);
}

Ref<Storage> Storage::borrow(void* data, size_t bytes, Device device,
                             std::function<void()> release) {
  SizeClass c = header_class();
  Storage* s = new (allocate_block(c)) Storage;
  s->data_ = static_cast<std::byte*>(data);
  s->bytes_ = bytes;
  s->release_ = std::move(release);
  s->device_ = device;
  return Ref<Storage>(s);
}

Ref<Storage> Storage::allocate_pinned(size_t bytes) {
  cuda::HostBlock* block = cuda::allocate_pinned(bytes);
  Ref<Storage> s = borrow(cuda::data_of(block), bytes, kCpu, {});
  s->host_block_ = block;
  s->memory_ = Memory::pinned;
  return s;
}

Ref<Storage> Storage::traced(size_t bytes, Device device) {
  SizeClass c = header_class();
  Storage* s = new (allocate_block(c)) Storage;
  s->bytes_ = bytes;
  s->device_ = device;
  return Ref<Storage>(s);
}

void Storage::destroy(Storage* s) {
  SizeClass place_class = header_class();
  if (s->memory_ == Memory::borrowed) {
    if (s->release_) s->release_();
  } else if (s->memory_ == Memory::on_device) {
    cuda::free_block(s->block_);
  } else if (s->memory_ == Memory::pinned) {
    cuda::free_pinned(s->host_block_);
  } else {
    count_allocated(-static_cast<int64_t>(s->bytes_));
    if (s->memory_ == Memory::own_block) {
      free_block(s->data_, s->size_class_);
    } else {
      place_class = s->size_class_;
    }
  }
  s->~Storage();
  free_block(s, place_class);
}

void TensorImpl::destroy(TensorImpl* t) {
  if (t->autograd != nullptr) destroy_autograd(t->autograd);
  t->~TensorImpl();
  free_block(t, kImplClass);
}

void TensorImpl::set_geometry(Sizes new_sizes, Sizes new_strides) {
  sizes = std::move(new_sizes);
  strides = std::move(new_strides);
  numel = product(sizes);
  contiguous = numel == 0 || is_row_major(sizes, strides);
}

void TensorImpl::alias(const TensorImpl& other) {
  dtype = other.dtype;
  storage = other.storage;
  offset = other.offset;
  set_geometry(other.sizes, other.strides);
}

namespace {

// The first element of `t`, read over from a CUDA device first.
template <class To>
To first_element(const Tensor& t) {
  if (t.numel() == 0) {
    throw Error(ErrorKind::shape, "a tensor of shape " + show(t.sizes()) +
                                      " came where a number is needed; it has none");
  }
  if (t.device().is_cpu()) return element<To>(t.dtype(), t.bytes());
  std::byte here[8];
  cuda::read_small(t.device().index, t.bytes(), here, size_of(t.dtype()));
  return element<To>(t.dtype(), here);
}

}  // namespace

double Tensor::item_double() const { return first_element<double>(*this); }
int64_t Tensor::item_int() const { return first_element<int64_t>(*this); }

std::string show(std::span<const int64_t> sizes) {
  std::string out = "(";
  for (size_t i = 0; i < sizes.size(); ++i) out += (i ? ", " : "") + std::to_string(sizes[i]);
  return out + (sizes.size() == 1 ? ",)" : ")");
}

Sizes contiguous_strides(const Sizes& sizes) {
  Sizes strides(sizes.size());
  int64_t step = 1;
  for (int i = sizes.ssize() - 1; i >= 0; --i) {
    strides[i] = step;
    // Torch's strides of empty tensors: an axis of size 0 counts as 1. Those of an empty tensor may
    // not fit 64 bits, and are never used.
    __builtin_mul_overflow(step, sizes[i] > 1 ? sizes[i] : 1, &step);
  }
  return strides;
}

int64_t product(const Sizes& sizes) {
  int64_t p = 1;
  bool fits = true;
  for (int64_t s : sizes) fits &= !__builtin_mul_overflow(p, s, &p);
  if (fits) return p;
  for (int64_t s : sizes) {
    if (s == 0) return 0;
  }
  throw Error(ErrorKind::shape, "shape " + show(sizes) + " has too many elements to be counted; " +
                                    "give smaller sizes");
}

namespace {

size_t bytes_for(const Sizes& sizes, int64_t numel, DType dtype) {
  int64_t bytes = 0;
  if (__builtin_mul_overflow(numel, static_cast<int64_t>(size_of(dtype)), &bytes)) {
    throw Error(ErrorKind::shape, "shape " + show(sizes) + " of " + std::string(name_of(dtype)) +
                                      " has too many bytes to be counted; give smaller sizes");
  }
  return static_cast<size_t>(bytes);
}

}  // namespace

Tensor empty(const Sizes& sizes, DType dtype, Device device) {
  Tensor t = shape_only(sizes, dtype);
  t->storage = Storage::allocate(bytes_for(sizes, t.numel(), dtype), device);
  return t;
}

Tensor empty_pinned(const Sizes& sizes, DType dtype) {
  Tensor t = shape_only(sizes, dtype);
  t->storage = Storage::allocate_pinned(bytes_for(sizes, t.numel(), dtype));
  return t;
}

Tensor as_view(const Tensor& base, Sizes sizes, Sizes strides, int64_t offset) {
  Ref<TensorImpl> t = make_impl();
  t->dtype = base.dtype();
  t->set_geometry(std::move(sizes), std::move(strides));
  if (base->storage) {
    t->offset = offset;
    t->storage = base->storage;
  } else {
    const size_t skip = static_cast<size_t>(offset) * size_of(base.dtype());
    std::memcpy(t->inline_data, base->inline_data + skip, sizeof t->inline_data - skip);
  }
  return Tensor(std::move(t));
}

Tensor shape_only(const Sizes& sizes, DType dtype) {
  Ref<TensorImpl> t = make_impl();
  t->dtype = dtype;
  t->sizes = sizes;
  t->strides = contiguous_strides(sizes);
  t->numel = product(sizes);
  return Tensor(std::move(t));
}

Tensor traced_tensor(const Sizes& sizes, DType dtype, Device device) {
  Tensor t = shape_only(sizes, dtype);
  t->storage = Storage::traced(bytes_for(sizes, t.numel(), dtype), device);
  return t;
}

Tensor number(double v) { return make_number(v, DType::float64_); }
Tensor number(int64_t v) { return make_number(v, DType::int64_); }
Tensor number(bool v) { return make_number(v, DType::bool_); }

Tensor rng_state(int64_t seed, int64_t offset) {
  const int64_t state[2] = {seed, offset};
  Ref<TensorImpl> t = make_impl();
  t->dtype = DType::int64_;
  t->sizes = {2};
  t->strides = {1};
  t->numel = 2;
  std::memcpy(t->inline_data, state, sizeof state);
  return Tensor(std::move(t));
}

uint64_t tensor_changes() { return changes.load(std::memory_order_acquire); }

void note_tensor_change() { changes.fetch_add(1, std::memory_order_release); }

}  // namespace ostinato
