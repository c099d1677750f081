// ot.cuda: devices, streams, events.
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

namespace nb = nanobind;
using namespace nb::literals;

namespace ostinato::python {
namespace {

// A consumer of DLPack gets `t`, for use on its `stream`: 1 or None the legacy one, 2 that of each
// thread, -1 none that has to wait, else a handle.
void export_to(const Tensor& t, nb::handle stream) {
  const int64_t number = stream.is_none() ? 1 : nb::cast<int64_t>(stream);
  if (number == -1) return;
  const int device = t.device().index;
  const auto consumer = cuda::Stream::external(device, reinterpret_cast<CUstream>(number));
  cuda::Event written(device, false);
  written.record(*cuda::current_stream(device));
  written.wait(*consumer);
  cuda::record_stream(t, *consumer);
}

}  // namespace

void bind_cuda(nb::module_& m) {
  m.def(
      "set_kernel_folder", [](const std::string& folder) { cuda::set_kernel_folder(folder); },
      "folder"_a);
  m.def(
      "set_cublaslt_places",
      [](std::vector<std::string> paths) { cuda::lt::set_places(std::move(paths)); }, "paths"_a);
  m.def("float32_matmul_precision",
        [] { return static_cast<int>(cuda::blas::float32_precision()); });
  m.def(
      "set_float32_matmul_precision",
      [](int precision) {
        cuda::blas::set_float32_precision(static_cast<cuda::blas::Precision>(precision));
      },
      "precision"_a, "0 highest, 1 high, 2 medium.");
  m.def("cuda_is_available", &cuda::is_available);
  m.def("cuda_export", &export_to, "tensor"_a, "stream"_a.none());
  m.def(
      "cuda_stream_handle",
      [](nb::handle device) {
        const Device d = device_from(device.ptr());
        return reinterpret_cast<uintptr_t>(cuda::current_handle(d.index));
      },
      "device"_a, "The current stream of a device, as DLPack numbers it.");
}

}  // namespace ostinato::python
