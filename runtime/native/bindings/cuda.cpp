// ot.cuda: devices, streams, events, ranges for profilers.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "bindings/casters.hpp"
#include "cuda/blas.hpp"
#include "cuda/context.hpp"
#include "cuda/cublaslt.hpp"
#include "cuda/driver.hpp"
#include "cuda/launch.hpp"
#include "cuda/memory.hpp"
#include "cuda/nvtx.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace ostinato::python {
namespace {

using Unlocked = nb::call_guard<nb::gil_scoped_release>;

struct StreamHandle {
  Ref<cuda::Stream> stream;
};

StreamHandle external(nb::handle device, uintptr_t handle) {
  const int index = cuda_index(device.ptr());
  return {cuda::Stream::external(index, reinterpret_cast<CUstream>(handle))};
}

// A consumer of DLPack gets `t`, for use on its `stream`: 1 or None the legacy one, 2 that of each
// thread, -1 none that has to wait, else a handle.
void export_to(const Tensor& t, nb::handle stream) {
  const int64_t number = stream.is_none() ? 1 : int_from(stream.ptr());
  if (number == -1) return;
  if (number < 1) {
    throw Error(ErrorKind::value, "__dlpack__: stream " + std::to_string(number) +
                                      " came; give the handle of a stream, 1 for the default one, "
                                      "2 for that of each thread, or -1 for none that has to wait");
  }
  const int device = t.device().index;
  const auto consumer = cuda::Stream::external(device, reinterpret_cast<CUstream>(number));
  cuda::Event written(device, false);
  written.record(*cuda::current_stream(device));
  written.wait(*consumer);
  cuda::record_stream(t, *consumer);
}

nb::dict properties_of(nb::handle device) {
  const cuda::Properties& p = cuda::properties(cuda_index(device.ptr()));
  nb::dict d;
  d["name"] = p.name;
  d["major"] = p.major;
  d["minor"] = p.minor;
  d["total_memory"] = p.total_memory;
  d["multi_processor_count"] = p.multiprocessors;
  d["warp_size"] = p.warp_size;
  d["max_threads_per_block"] = p.max_threads_per_block;
  d["max_threads_per_multi_processor"] = p.max_threads_per_multiprocessor;
  d["shared_memory_per_block_optin"] = p.max_shared_per_block;
  d["L2_cache_size"] = p.l2_bytes;
  d["uuid"] = p.uuid;
  return d;
}

void bind_devices(nb::module_& m) {
  m.def("cuda_is_available", &cuda::is_available);
  m.def("cuda_device_count", &cuda::device_count);
  m.def("cuda_properties", &properties_of, "device"_a.none());
  m.def("cuda_current_device", &cuda::current_device);
  m.def(
      "cuda_set_device", [](nb::handle d) { cuda::set_current_device(cuda_index(d.ptr())); },
      "device"_a);
  m.def(
      "cuda_index", [](nb::handle d) { return cuda_index(d.ptr()); }, "device"_a.none(),
      "The number of a CUDA device given as a number, a text, an object or None.");
  m.def(
      "cuda_synchronize",
      [](nb::handle d) {
        const int index = cuda_index(d.ptr());
        nb::gil_scoped_release unlocked;
        cuda::synchronize(index);
      },
      "device"_a.none());
  m.def("cuda_reaches", &cuda::reaches, "device"_a, "peer"_a);
}

void bind_streams(nb::module_& m) {
  nb::class_<StreamHandle>(m, "CudaStream", "A stream of a CUDA device.")
      .def(
          "synchronize", [](const StreamHandle& s) { s.stream->synchronize(); }, Unlocked())
      .def(
          "is_idle", [](const StreamHandle& s) { return s.stream->is_idle(); }, Unlocked())
      .def_prop_ro(
          "handle",
          [](const StreamHandle& s) { return reinterpret_cast<uintptr_t>(s.stream->handle()); })
      .def_prop_ro("device", [](const StreamHandle& s) { return s.stream->device(); })
      .def_prop_ro("priority", [](const StreamHandle& s) { return s.stream->priority(); });
  m.def(
      "cuda_new_stream",
      [](nb::handle d, int priority) {
        return StreamHandle{cuda::Stream::make(cuda_index(d.ptr()), priority)};
      },
      "device"_a.none(), "priority"_a);
  m.def("cuda_external_stream", &external, "device"_a.none(), "handle"_a);
  m.def(
      "cuda_default_stream",
      [](nb::handle d) { return StreamHandle{cuda::default_stream(cuda_index(d.ptr()))}; },
      "device"_a.none());
  m.def(
      "cuda_current_stream",
      [](nb::handle d) { return StreamHandle{cuda::current_stream(cuda_index(d.ptr()))}; },
      "device"_a.none());
  m.def(
      "cuda_set_stream", [](const StreamHandle& s) { cuda::set_current_stream(s.stream); },
      "stream"_a);
  m.def("cuda_export", &export_to, "tensor"_a, "stream"_a.none());
  m.def(
      "cuda_record_stream",
      [](const Tensor& t, const StreamHandle& s) { cuda::record_stream(t, *s.stream); }, "tensor"_a,
      "stream"_a);
}

void bind_events(nb::module_& m) {
  nb::class_<cuda::Event>(m, "CudaEvent", "A point in the work of a stream.")
      .def(nb::init<int, bool>(), "device"_a, "timing"_a)
      .def(
          "record", [](cuda::Event& e, const StreamHandle& s) { e.record(*s.stream); }, "stream"_a)
      .def(
          "wait", [](const cuda::Event& e, const StreamHandle& s) { e.wait(*s.stream); },
          "stream"_a)
      .def("synchronize", &cuda::Event::synchronize, Unlocked())
      .def("is_done", &cuda::Event::is_done, Unlocked())
      .def("elapsed", &cuda::Event::elapsed, "later"_a)
      .def_prop_ro("handle",
                   [](const cuda::Event& e) { return reinterpret_cast<uintptr_t>(e.handle()); });
}

}  // namespace

int cuda_index(PyObject* o) {
  if (o == Py_None) return cuda::current_device();
  if (is_index(o)) return device_number_from(o);
  const Device d = device_from(o);
  if (d.is_cuda()) return d.index;
  throw Error(ErrorKind::value,
              "cuda: device '" + show(d) + "' came; give a CUDA device, or its number");
}

void bind_cuda(nb::module_& m) {
  m.def(
      "set_kernel_folder", [](const std::string& folder) { cuda::set_kernel_folder(folder); },
      "folder"_a);
  m.def(
      "set_cublaslt_places",
      [](std::vector<std::string> paths) { cuda::lt::set_places(std::move(paths)); }, "paths"_a);
  m.def("cublaslt_version", [] { return cuda::lt::library().cublasLtGetVersion_(); });
  m.def("float32_matmul_precision",
        [] { return static_cast<int>(cuda::blas::float32_precision()); });
  m.def(
      "set_float32_matmul_precision",
      [](int precision) {
        cuda::blas::set_float32_precision(static_cast<cuda::blas::Precision>(precision));
      },
      "precision"_a, "0 highest, 1 high, 2 medium.");
  bind_devices(m);
  bind_streams(m);
  bind_events(m);
  m.def("nvtx_load", &cuda::load_nvtx, "libraries"_a);
  m.def("nvtx_push", &cuda::nvtx_push, "name"_a);
  m.def("nvtx_pop", &cuda::nvtx_pop);
  m.def("nvtx_mark", &cuda::nvtx_mark, "name"_a);
  m.def(
      "cuda_capability",
      [](nb::handle device) {
        const cuda::Properties& p = cuda::properties(device_from(device.ptr()).index);
        return 10 * p.major + p.minor;
      },
      "device"_a, "The compute capability: 90 is 9.0.");
  m.def(
      "cuda_seconds_of_launch",
      [](nb::handle device, int count) {
        return cuda::seconds_of_launch(device_from(device.ptr()).index, count);
      },
      "device"_a, "count"_a, "What the driver takes to queue a kernel that does nothing.");
  m.def("cuda_allocates_directly", &cuda::allocates_directly,
        "Whether every tensor is an allocation of the driver (OSTINATO_ALLOCATOR=direct).");
}

}  // namespace ostinato::python
