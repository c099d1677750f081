// ot.cuda: memory of devices, pinned memory.
#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include <optional>

#include "bindings/casters.hpp"
#include "cuda/context.hpp"
#include "cuda/driver.hpp"
#include "cuda/memory.hpp"
#include "cuda/pinned.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace ostinato::python {
namespace {

void add(nb::dict& d, const std::string& name, const cuda::Counter& c) {
  const auto put = [&](const char* what, int64_t value) {
    const std::string key = name + ".all." + what;
    d[key.c_str()] = value;
  };
  put("current", c.current);
  put("peak", c.peak);
  put("allocated", c.gained);
  put("freed", c.lost);
}

nb::dict statistics_of(nb::handle device) {
  const cuda::MemoryStatistics s = cuda::memory_statistics(cuda_index(device.ptr()));
  nb::dict d;
  add(d, "allocated_bytes", s.allocated);
  add(d, "active_bytes", s.active);
  add(d, "requested_bytes", s.requested);
  add(d, "reserved_bytes", s.reserved);
  add(d, "allocation", s.allocations);
  add(d, "active", s.active_blocks);
  add(d, "segment", s.segments);
  d["num_alloc_retries"] = s.retries;
  d["num_ooms"] = s.failures;
  return d;
}

nb::dict pinned_statistics() {
  const cuda::PinnedStatistics s = cuda::pinned_statistics();
  nb::dict d;
  add(d, "allocated_bytes", s.allocated);
  add(d, "reserved_bytes", s.reserved);
  return d;
}

nb::dict block_of(const cuda::BlockInfo& b) {
  nb::dict d;
  d["address"] = b.address;
  d["size"] = b.bytes;
  d["requested_size"] = b.requested;
  d["state"] = b.state;
  d["line"] = b.holder.empty() ? nb::none() : nb::object(nb::str(b.holder.c_str()));
  return d;
}

nb::list snapshot_of(nb::handle device) {
  nb::list out;
  for (const cuda::SegmentInfo& s : cuda::memory_snapshot(cuda_index(device.ptr()))) {
    nb::list blocks;
    for (const cuda::BlockInfo& b : s.blocks) blocks.append(block_of(b));
    nb::dict d;
    d["address"] = s.address;
    d["total_size"] = s.bytes;
    d["stream"] = s.stream;
    d["segment_type"] = s.small ? "small" : "large";
    d["is_private"] = s.is_private;
    d["blocks"] = blocks;
    out.append(d);
  }
  return out;
}

nb::tuple memory_info(nb::handle device) {
  cuda::use_device(cuda_index(device.ptr()));
  size_t free = 0, total = 0;
  OSTINATO_CUDA(cuMemGetInfo, &free, &total);
  return nb::make_tuple(free, total);
}

struct Pool {
  Ref<cuda::MemoryPool> pool;
};

Tensor pinned(const Tensor& t) {
  if (!t->storage || t->storage->host_block() != nullptr) return t;
  Tensor made = empty_pinned(t.sizes(), t.dtype());
  copy_into(made, t);
  return made;
}

}  // namespace

void bind_cuda_memory(nb::module_& m) {
  m.def("cuda_memory_stats", &statistics_of, "device"_a.none());
  m.def("cuda_memory_snapshot", &snapshot_of, "device"_a.none());
  m.def(
      "cuda_reset_peaks", [](nb::handle d) { cuda::reset_peak_statistics(cuda_index(d.ptr())); },
      "device"_a.none());
  m.def("cuda_mem_get_info", &memory_info, "device"_a.none());
  m.def(
      "cuda_set_memory_limits",
      [](nb::handle d, double fraction, double collect) {
        cuda::set_memory_limits(cuda_index(d.ptr()), fraction, collect);
      },
      "device"_a.none(), "fraction"_a, "collect"_a);
  m.def(
      "cuda_empty_cache",
      [] {
        cuda::release_device_cache();
        cuda::release_pinned_cache();
      },
      nb::call_guard<nb::gil_scoped_release>());
  m.def(
      "cuda_set_memory_history",
      [](bool all) {
        cuda::memory_history() = all ? cuda::MemoryHistory::all : cuda::MemoryHistory::none;
      },
      "all"_a);
  nb::class_<Pool>(m, "CudaMemoryPool", "Memory that lies apart from all other.")
      .def(
          "__init__",
          [](Pool* p, nb::handle device) {
            new (p) Pool{cuda::MemoryPool::make(cuda_index(device.ptr()))};
          },
          "device"_a.none());
  m.def(
      "cuda_exchange_pool",
      [](std::optional<Pool> pool) -> std::optional<Pool> {
        Pool before{cuda::exchange_private_pool(pool ? pool->pool : Ref<cuda::MemoryPool>())};
        return before.pool ? std::optional(before) : std::nullopt;
      },
      "pool"_a.none(), "This thread allocates from `pool`; returns the one from before.");
  m.def("pin_memory", &pinned, "tensor"_a, nb::call_guard<nb::gil_scoped_release>());
  m.def(
      "is_pinned",
      [](const Tensor& t) { return t->storage && t->storage->host_block() != nullptr; },
      "tensor"_a);
  m.def("pinned_memory_stats", &pinned_statistics);
}

}  // namespace ostinato::python
