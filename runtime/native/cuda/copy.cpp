#include "cuda/copy.hpp"

#include <cstring>

#include "cpu/convert.hpp"
#include "cuda/context.hpp"
#include "cuda/driver.hpp"
#include "cuda/failure.hpp"
#include "cuda/memory.hpp"
#include "cuda/pinned.hpp"
#include "dispatch/op_call.hpp"

namespace ostinato::cuda {
namespace {

CUdeviceptr address_of(const Tensor& t) { return reinterpret_cast<CUdeviceptr>(t.bytes()); }
size_t bytes_of(const Tensor& t) { return static_cast<size_t>(t.numel()) * size_of(t.dtype()); }

Tensor packed_on(const Tensor& like, const Tensor& from, Device device) {
  const Tensor made = ostinato::empty(from.sizes(), like.dtype(), device);
  ostinato::copy_into(made, from);
  return made;
}

// Whether the elements of the two lie alike, so that bytes may be copied.
bool is_alike(const Tensor& a, const Tensor& b) {
  return a.dtype() == b.dtype() && a.contiguous() && b.contiguous() && a.numel() == b.numel();
}

// Fills `to` with the one element of `from`, unless that needs a kernel.
bool fill(const Tensor& to, const Tensor& from) {
  const size_t item = size_of(to.dtype());
  uint32_t words[2] = {};
  converter(from.dtype(), to.dtype())(reinterpret_cast<const char*>(from.bytes()), 0,
                                      reinterpret_cast<char*>(words), 0, 1);
  const size_t n = static_cast<size_t>(to.numel());
  if (!to.contiguous() || (item == 8 && words[0] != words[1] && n > 1)) return false;
  const int device = to.device().index;
  use_device(device);
  const CUdeviceptr at = address_of(to);
  CUstream stream = current_handle(device);
  if (words[0] == 0 && words[1] == 0) {
    OSTINATO_CUDA(cuMemsetD8Async, at, 0, n * item, stream);
  } else if (item == 1) {
    OSTINATO_CUDA(cuMemsetD8Async, at, static_cast<unsigned char>(words[0]), n, stream);
  } else if (item == 2) {
    OSTINATO_CUDA(cuMemsetD16Async, at, static_cast<unsigned short>(words[0]), n, stream);
  } else if (n > 1 || item == 4) {
    OSTINATO_CUDA(cuMemsetD32Async, at, words[0], n * (item / 4), stream);
  } else {
    OSTINATO_CUDA(cuMemcpyHtoDAsync, at, words, item, stream);
  }
  return true;
}

// After a copy was queued: waits for it, or sees to it that pinned memory is not reused before.
void secure(const Tensor& host, const Stream& stream, bool non_blocking) {
  HostBlock* block = host->storage ? host->storage->host_block() : nullptr;
  if (block == nullptr || !non_blocking) return stream.synchronize();
  use_pinned_on(block, stream);
}

// Host memory to the device; both contiguous and alike.
void upload(const Tensor& to, const Tensor& from, bool non_blocking) {
  const int device = to.device().index;
  const Ref<Stream> stream = current_stream(device);
  use_device(device);
  OSTINATO_CUDA(cuMemcpyHtoDAsync, address_of(to), from.bytes(), bytes_of(to), stream->handle());
  // Memory that it does not know the driver has read when it returns.
  if (from->storage && !from->storage->is_pageable()) secure(from, *stream, non_blocking);
}

void download(const Tensor& to, const Tensor& from, bool non_blocking) {
  const int device = from.device().index;
  const Ref<Stream> stream = current_stream(device);
  use_device(device);
  OSTINATO_CUDA(cuMemcpyDtoHAsync, to.bytes(), address_of(from), bytes_of(to), stream->handle());
  secure(to, *stream, non_blocking);
  check_failure(device);
}

void host_to_device(const Tensor& to, const Tensor& from, bool non_blocking) {
  if (from.numel() == 1) {
    if (!fill(to, from)) copy_strided(to, from);
  } else if (is_alike(to, from)) {
    upload(to, from, non_blocking);
  } else {
    // Packed and converted here, and spread there.
    const Tensor packed =
        from.contiguous() && from.dtype() == to.dtype() ? from : packed_on(to, from, kCpu);
    if (is_alike(to, packed)) return upload(to, packed, false);
    const Tensor there = ostinato::empty(packed.sizes(), packed.dtype(), to.device());
    upload(there, packed, false);
    copy_strided(to, there);
  }
}

void device_to_host(const Tensor& to, const Tensor& from, bool non_blocking) {
  const Tensor dense = from.contiguous() ? from : packed_on(from, from, from.device());
  if (is_alike(to, dense)) return download(to, dense, non_blocking);
  const Tensor here = ostinato::empty(dense.sizes(), dense.dtype());
  download(here, dense, false);
  ostinato::copy_into(to, here);
}

void within_device(const Tensor& to, const Tensor& from) {
  if (!is_alike(to, from)) return copy_strided(to, from);
  const int device = to.device().index;
  use_device(device);
  OSTINATO_CUDA(cuMemcpyDtoDAsync, address_of(to), address_of(from), bytes_of(to),
                current_handle(device));
}

// The copy runs on the current stream of the source's device; that of the target waits for it, and
// it for what the target's stream did before.
void between_devices(const Tensor& to, const Tensor& from) {
  if (!is_alike(to, from)) {
    const Tensor dense = from.contiguous() ? from : packed_on(from, from, from.device());
    const Tensor there = ostinato::empty(dense.sizes(), dense.dtype(), to.device());
    between_devices(there, dense);
    return within_device(to, there);
  }
  const int source = from.device().index, target = to.device().index;
  const Ref<Stream> reads = current_stream(source), writes = current_stream(target);
  reaches(source, target);  // where it can, the copy takes the direct way
  Event ready(target, false), done(source, false);
  ready.record(*writes);
  ready.wait(*reads);
  use_device(source);
  OSTINATO_CUDA(cuMemcpyPeerAsync, address_of(to), context_of(target), address_of(from),
                context_of(source), bytes_of(to), reads->handle());
  done.record(*reads);
  done.wait(*writes);
}

}  // namespace

void copy_into(const Tensor& to, const Tensor& from, bool non_blocking) {
  if (to.numel() == 0) return;
  if (from.device().is_cpu()) return host_to_device(to, from, non_blocking);
  if (to.device().is_cpu()) return device_to_host(to, from, non_blocking);
  if (to.device() == from.device()) return within_device(to, from);
  between_devices(to, from);
}

void read_small(int device, const void* from, void* to, size_t bytes) {
  use_device(device);
  CUstream stream = current_handle(device);
  OSTINATO_CUDA(cuMemcpyDtoHAsync, to, reinterpret_cast<CUdeviceptr>(from), bytes, stream);
  OSTINATO_CUDA(cuStreamSynchronize, stream);
  check_failure(device);
}

namespace {

void to_device(const OpCall& call, std::span<Tensor> out) {
  const Tensor& x = call.operand(0);
  if (out[0].device().is_cpu() && x.device().is_cpu()) return ostinato::copy_into(out[0], x);
  copy_into(out[0], x, call.attr(2).as_bool());
}
OSTINATO_KERNEL(to_device, to_device);
OSTINATO_CUDA_KERNEL(to_device, to_device);

}  // namespace
}  // namespace ostinato::cuda
