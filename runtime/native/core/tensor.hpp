// Tensors: a view (sizes, strides, offset) of a reference-counted storage.
#pragma once
#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "core/device.hpp"
#include "core/dtype.hpp"
#include "core/error.hpp"
#include "core/intrusive.hpp"
#include "core/small_vector.hpp"

namespace ostinato {

namespace cuda {
struct Block;      // cuda/memory.hpp
struct HostBlock;  // cuda/pinned.hpp
}  // namespace cuda

// Where a running capture (trace/tracer.hpp) finds what it made: of a storage, the cell of its
// present value; of a tensor, a value, and the version of the storage that it is of.
struct TraceMark {
  uint64_t tracer = 0;  // the capture's number; none has 0
  int32_t place = -1;
  int32_t version = 0;
};

class Storage : public RefCounted {
 public:
  // Memory from the caching allocator of the device, 64-byte aligned.
  static Ref<Storage> allocate(size_t bytes, Device device = kCpu);
  // The same where a scope of scratch memory is open (core/scratch.hpp), which this ignores.
  static Ref<Storage> allocate_outside(size_t bytes, Device device);
  // Pinned memory of the host.
  static Ref<Storage> allocate_pinned(size_t bytes);
  // No memory: stands for the value of a tensor in a running capture (trace/tracer.hpp).
  static Ref<Storage> traced(size_t bytes, Device device);
  // Memory of somebody else; `release` runs when the last tensor on it goes.
  static Ref<Storage> borrow(void* data, size_t bytes, Device device,
                             std::function<void()> release);
  static void destroy(Storage* s);
  // Borrowed memory lies at `data` from now on.
  void point_at(std::byte* data) { data_ = data; }

  std::byte* data() const { return data_; }
  Device device() const { return device_; }
  // The allocation of memory on a CUDA device, null for borrowed memory and for the CPU.
  cuda::Block* block() const { return block_; }
  // That of pinned memory of the host, else null.
  cuda::HostBlock* host_block() const { return host_block_; }
  // Memory of our own that a driver knows nothing of.
  bool is_pageable() const {
    return memory_ == Memory::with_header || memory_ == Memory::own_block;
  }
  size_t bytes() const { return bytes_; }
  bool is_traced() const { return !data_; }
  TraceMark& mark() { return mark_; }
  // Whether others than our ops may read and change the memory.
  bool is_shared_with_others() const { return memory_ == Memory::borrowed || is_shown(); }
  // The same where the memory is ours.
  bool is_shown() const { return shown_ > 0; }
  // As many times as it is hidden again; where nobody knows when that may be, never.
  void show_to_others() { ++shown_; }
  void hide_from_others() { --shown_; }
  uint32_t version() const { return version_.load(std::memory_order_relaxed); }
  void bump_version() { version_.fetch_add(1, std::memory_order_relaxed); }

 private:
  std::byte* data_ = nullptr;
  size_t bytes_ = 0;
  std::atomic<uint32_t> version_{0};
  std::function<void()> release_;
  cuda::Block* block_ = nullptr;
  cuda::HostBlock* host_block_ = nullptr;
  TraceMark mark_;
  enum class Memory : uint8_t { with_header, own_block, borrowed, on_device, pinned };
  Memory memory_ = Memory::borrowed;
  std::atomic<int> shown_{0};
  uint8_t size_class_ = 0;
  Device device_;
};

class Tensor;
struct AutogradState;  // autograd/tape.hpp
void destroy_autograd(AutogradState* state);

class TensorImpl : public RefCounted {
 public:
  static void destroy(TensorImpl* t);

  DType dtype = DType::float32_;
  bool wrapped = false;        // a Python number: takes part in promotion as one
  bool requires_grad = false;  // a leaf that asks for a gradient, or the result of a recorded op
  bool contiguous = true;
  Sizes sizes;
  Sizes strides;  // in elements; zero or negative allowed
  int64_t offset = 0;
  int64_t numel = 1;
  Ref<Storage> storage;  // empty for numbers, whose bytes are `inline_data`
  alignas(16) std::byte inline_data[16];
  AutogradState* autograd = nullptr;  // owned
  // Of a view (autograd/view.hpp): the tensor, itself no view, whose memory it shows; the version
  // of the storage for which its place on the tape is right; whether it was made under no_grad.
  Ref<TensorImpl> base;
  uint32_t seen = 0;
  bool unrecorded = false;
  TraceMark mark;
  void* py_object = nullptr;  // the live Python object of this tensor, borrowed

  std::byte* data() {
    return storage ? storage->data() + offset * static_cast<int64_t>(size_of(dtype)) : inline_data;
  }
  int ndim() const { return sizes.ssize(); }
  void set_geometry(Sizes new_sizes, Sizes new_strides);
  // From now on the elements of `other`, whose storage is not empty, by its dtype and geometry.
  void alias(const TensorImpl& other);
};

// A handle; null until assigned.
class Tensor {
 public:
  Tensor() = default;
  explicit Tensor(Ref<TensorImpl> p) : p_(std::move(p)) {}
  explicit Tensor(TensorImpl* p) : p_(p) {}

  TensorImpl* operator->() const { return p_.get(); }
  TensorImpl* get() const { return p_.get(); }
  explicit operator bool() const { return static_cast<bool>(p_); }

  const Sizes& sizes() const { return p_->sizes; }
  const Sizes& strides() const { return p_->strides; }
  int64_t size(int i) const { return p_->sizes[i < 0 ? i + ndim() : i]; }
  int ndim() const { return p_->ndim(); }
  int64_t numel() const { return p_->numel; }
  DType dtype() const { return p_->dtype; }
  // Numbers lie on the CPU.
  Device device() const { return p_->storage ? p_->storage->device() : kCpu; }
  bool contiguous() const { return p_->contiguous; }
  std::byte* bytes() const { return p_->data(); }
  template <class T>
  T* data() const {
    return reinterpret_cast<T*>(p_->data());
  }
  // The one element of a number or one-element tensor, converted; waits for a CUDA device.
  double item_double() const;
  int64_t item_int() const;
  bool same(const Tensor& o) const { return p_ == o.p_; }
  // A value of a running capture: it has a shape and a dtype, and no elements yet.
  bool is_traced() const { return p_->storage && p_->storage->is_traced(); }

 private:
  Ref<TensorImpl> p_;
};

// `(2, 3)`, `(2,)`, `()`.
std::string show(std::span<const int64_t> sizes);
// Row-major strides of `sizes`.
Sizes contiguous_strides(const Sizes& sizes);
int64_t product(const Sizes& sizes);

// Uninitialised, contiguous.
Tensor empty(const Sizes& sizes, DType dtype, Device device = kCpu);
Tensor empty_pinned(const Sizes& sizes, DType dtype);
// Another view of the same storage; offset counts elements from the storage's start.
Tensor as_view(const Tensor& base, Sizes sizes, Sizes strides, int64_t offset);
// A shape and a dtype without storage.
Tensor shape_only(const Sizes& sizes, DType dtype);
// Contiguous, on a storage without memory.
Tensor traced_tensor(const Sizes& sizes, DType dtype, Device device);
// Numbers: 0-d, no allocation of storage.
Tensor number(double v);
Tensor number(int64_t v);
Tensor number(bool v);
// An int64[2] random state by value.
Tensor rng_state(int64_t seed, int64_t offset);
// `t` itself when contiguous, else a contiguous copy (not recorded by the tape).
Tensor contiguous(const Tensor& t);
// Fills `target` with `source`, broadcast and converted, across devices too. The two may not
// overlap.
void copy_into(const Tensor& target, const Tensor& source);

// How often a tensor that was there already got other memory, another layout, flag or place on the
// tape: what was checked of tensors before holds while this stays.
uint64_t tensor_changes();
void note_tensor_change();

}  // namespace ostinato
