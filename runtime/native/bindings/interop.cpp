// Tensors from and to NumPy and DLPack without copies, and values as Python objects.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstring>

#include "bindings/casters.hpp"
#include "cuda/stream.hpp"
#include "dispatch/shape_rules.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace ostinato::python {
namespace {

nb::dlpack::dtype dlpack_dtype(DType d) {
  using Code = nb::dlpack::dtype_code;
  uint8_t code = d == DType::bool_       ? static_cast<uint8_t>(Code::Bool)
                 : d == DType::uint8_    ? static_cast<uint8_t>(Code::UInt)
                 : d == DType::bfloat16_ ? static_cast<uint8_t>(Code::Bfloat)
                 : is_float(d)           ? static_cast<uint8_t>(Code::Float)
                                         : static_cast<uint8_t>(Code::Int);
  return {code, static_cast<uint8_t>(size_of(d) * 8), 1};
}

DType from_dlpack_dtype(nb::dlpack::dtype given) {
  for (int i = 0; i < kDTypeCount; ++i) {
    DType d = static_cast<DType>(i);
    if (dlpack_dtype(d) == given) return d;
  }
  throw Error(ErrorKind::dtype,
              "from_dlpack: an element type with code " + std::to_string(given.code) + " and " +
                  std::to_string(given.bits) + " bits has no ostinato dtype; convert it first");
}

Device from_dlpack_device(int type, int index) {
  if (type == nb::device::cpu::value || type == nb::device::cuda_host::value) return kCpu;
  if (type == nb::device::cuda::value) return cuda_device(index);
  throw Error(ErrorKind::value, "from_dlpack: memory of device type " + std::to_string(type) +
                                    " came; give some of the CPU (1) or of a CUDA device (2)");
}

// A tensor on the memory of `array`, which it keeps alive.
Tensor from_array(nb::ndarray<nb::ro> array) {
  const Device device = from_dlpack_device(array.device_type(), array.device_id());
  DType dtype = from_dlpack_dtype(array.dtype());
  Sizes sizes, strides;
  int64_t low = 0, high = 0;
  for (size_t i = 0; i < array.ndim(); ++i) {
    sizes.push_back(static_cast<int64_t>(array.shape(i)));
    strides.push_back(array.stride(i));
    int64_t reach = (sizes.back() - 1) * strides.back();
    (reach < 0 ? low : high) += reach;
  }
  auto item = static_cast<int64_t>(size_of(dtype));
  auto* first = static_cast<std::byte*>(const_cast<void*>(array.data())) + low * item;
  auto bytes = static_cast<size_t>((high - low + 1) * item);
  if (product(sizes) == 0) return empty(sizes, dtype, device);
  auto* keeper = new nb::ndarray<nb::ro>(array);
  Tensor base = shape_only(sizes, dtype);
  base->storage = Storage::borrow(first, bytes, device, [keeper, device] {
    // Its owner knows nothing of our streams.
    if (device.is_cuda()) cuda::wait_quietly(device.index);
    nb::gil_scoped_acquire locked;
    delete keeper;
  });
  return as_view(base, sizes, strides, -low);
}

// What others have of a tensor whose memory they see, until they let go of it.
struct Shown {
  explicit Shown(const Tensor& t) : tensor(t) {
    if (t->storage) t->storage->show_to_others();
  }
  ~Shown() {
    if (tensor->storage) tensor->storage->hide_from_others();
  }
  Shown(const Shown&) = delete;
  Shown& operator=(const Shown&) = delete;

  Tensor tensor;
};

nb::capsule keeper_of(const Tensor& t) {
  return nb::capsule(new Shown(t), [](void* p) noexcept { delete static_cast<Shown*>(p); });
}

template <class... Annotations>
nb::object export_array(const Tensor& t, const char* what) {
  need_value(t, what);
  std::vector<size_t> shape(t.sizes().begin(), t.sizes().end());
  std::vector<int64_t> strides(t.strides().begin(), t.strides().end());
  const bool cuda = t.device().is_cuda();
  nb::ndarray<Annotations...> array(
      t.bytes(), shape.size(), shape.data(), keeper_of(t), strides.data(), dlpack_dtype(t.dtype()),
      cuda ? nb::device::cuda::value : nb::device::cpu::value, t.device().index);
  return nb::cast(array, nb::rv_policy::reference);
}

nb::object to_numpy(const Tensor& t, const char* what) {
  if (t.device().is_cuda()) {
    throw Error(ErrorKind::type, "numpy: the tensor lies on " + show(t.device()) +
                                     ", NumPy arrays on the CPU; use .cpu().numpy()");
  }
  if (t.dtype() == DType::bfloat16_) {
    throw Error(
        ErrorKind::dtype,
        "numpy: dtype bfloat16 has no NumPy type; convert with .to(ostinato.float32) first");
  }
  return export_array<nb::numpy>(t, what);
}

nb::object read_number(const Tensor& t) {
  double real = 0;
  int64_t whole = 0;
  {
    nb::gil_scoped_release unlocked;  // a CUDA device is waited for
    if (is_float(t.dtype())) {
      real = t.item_double();
    } else {
      whole = t.item_int();
    }
  }
  if (is_float(t.dtype())) return nb::float_(real);
  if (t.dtype() == DType::bool_) return nb::bool_(whole != 0);
  return nb::int_(whole);
}

nb::object value_for(const Tensor& t, const char* what, const char* instead) {
  need_value(t, what, instead);
  if (t.numel() != 1) {
    throw Error(ErrorKind::value, "item: shape " + show(t.sizes()) + " has " +
                                      std::to_string(t.numel()) +
                                      " elements; select one first, or use .tolist()");
  }
  return read_number(t);
}

}  // namespace

void bind_interop(nb::module_& m) {
  m.def(
      "from_array", &from_array, "array"_a,
      "A tensor on the memory of a NumPy array or any object with DLPack or the buffer protocol.");
  m.def("to_numpy", &to_numpy, "tensor"_a, "what"_a = "the content of a tensor",
        "A NumPy array on the memory of `tensor`; `what` the user wrote asks for it.");
  m.def(
      "to_dlpack", [](const Tensor& t) { return export_array<>(t, "DLPack"); }, "tensor"_a,
      "A DLPack capsule on the memory of `tensor`.");
  m.def(
      "item", [](const Tensor& t) { return value_for(t, "`.item()`", kInstead); }, "tensor"_a,
      "The one element as a Python number.");
  m.def("value_for", &value_for, "tensor"_a, "what"_a, "instead"_a = kInstead,
        "The same, which `what` the user wrote asks for, and what a region could have instead.");
  m.def("item_now", &read_number, "number"_a, "The value of a number, also inside a capture.");
  m.def(
      "give_value",
      [](const Tensor& t, const Tensor& value) {
        t->alias(*value.get());
        note_tensor_change();
      },
      "tensor"_a, "value"_a, "`tensor` becomes another name of the memory of `value`.");
  m.def(
      "strides",
      [](const Tensor& t) {
        note_layout(t);
        return nb::steal(sizes_to(t.strides()));
      },
      "tensor"_a);
  m.def(
      "storage_offset",
      [](const Tensor& t) {
        need_value(t, "`.storage_offset()`");
        return t->offset;
      },
      "tensor"_a);
  m.def(
      "data_ptr",
      [](const Tensor& t) {
        need_value(t, "`.data_ptr()`");
        if (t->storage) t->storage->show_to_others();
        return reinterpret_cast<uintptr_t>(t.bytes());
      },
      "tensor"_a);
  m.def(
      "is_contiguous",
      [](const Tensor& t) {
        note_layout(t);
        return t.contiguous();
      },
      "tensor"_a);
  m.def("is_traced", [](const Tensor& t) { return t.is_traced(); }, "tensor"_a);
  m.def(
      "empty",
      [](nb::handle sizes, nb::handle dtype, nb::handle device) {
        DType d;
        if (!dtype_of(dtype.ptr(), &d)) throw Error(ErrorKind::type, "empty: dtype is no dtype");
        note_memory_holder();
        return empty(sizes_from(sizes.ptr()), d, device_from(device.ptr()));
      },
      "sizes"_a, "dtype"_a, "device"_a.none());
}

}  // namespace ostinato::python
