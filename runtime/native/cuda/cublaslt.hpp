// cuBLASLt, opened at run time: what of its interface the runtime uses. Names and values are those
// of cublasLt.h of release 13.
#pragma once
#include <cuda.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

namespace ostinato::cuda::lt {

using Handle = struct Context*;
using Descriptor = struct MatmulDesc*;
using Layout = struct MatrixLayout*;
using Preference = struct MatmulPreference*;

enum class DataType : int32_t { r32f = 0, r64f = 1, r16f = 2, r16bf = 14 };
enum class Compute : int32_t { f32 = 68, f64 = 70, f32_fast_tf32 = 77 };
enum class Operation : int32_t { none = 0, transpose = 1 };
enum class Epilogue : uint32_t { none = 1, bias = 4 };
enum class DescriptorAttribute : int32_t {
  transpose_a = 3,
  transpose_b = 4,
  epilogue = 7,
  bias_pointer = 8,
  bias_data_type = 26
};
enum class LayoutAttribute : int32_t { batch_count = 5, strided_batch_offset = 6 };
enum class PreferenceAttribute : int32_t {
  most_workspace = 1,
  alignment_a = 5,
  alignment_b = 6,
  alignment_c = 7,
  alignment_d = 8
};

struct Algorithm {
  uint64_t data[8];
};
struct Heuristic {
  Algorithm algorithm;
  size_t workspace;
  int32_t status;
  float waves;
  int32_t reserved[4];
};

// Each function's name in the library and, after it, its type.
#define OSTINATO_CUBLASLT_FUNCTIONS(X)                                                             \
  X(cublasLtCreate, int (*)(Handle*))                                                              \
  X(cublasLtGetVersion, size_t (*)())                                                              \
  X(cublasLtMatmulDescCreate, int (*)(Descriptor*, Compute, DataType))                             \
  X(cublasLtMatmulDescDestroy, int (*)(Descriptor))                                                \
  X(cublasLtMatmulDescSetAttribute, int (*)(Descriptor, DescriptorAttribute, const void*, size_t)) \
  X(cublasLtMatrixLayoutCreate, int (*)(Layout*, DataType, uint64_t, uint64_t, int64_t))           \
  X(cublasLtMatrixLayoutDestroy, int (*)(Layout))                                                  \
  X(cublasLtMatrixLayoutSetAttribute, int (*)(Layout, LayoutAttribute, const void*, size_t))       \
  X(cublasLtMatmulPreferenceCreate, int (*)(Preference*))                                          \
  X(cublasLtMatmulPreferenceDestroy, int (*)(Preference))                                          \
  X(cublasLtMatmulPreferenceSetAttribute,                                                          \
    int (*)(Preference, PreferenceAttribute, const void*, size_t))                                 \
  X(cublasLtMatmulAlgoGetHeuristic, int (*)(Handle, Descriptor, Layout, Layout, Layout, Layout,    \
                                            Preference, int, Heuristic*, int*))                    \
  X(cublasLtMatmulAlgoCheck,                                                                       \
    int (*)(Handle, Descriptor, Layout, Layout, Layout, Layout, const Algorithm*, Heuristic*))     \
  X(cublasLtMatmul, int (*)(Handle, Descriptor, const void*, const void*, Layout, const void*,     \
                            Layout, const void*, const void*, Layout, void*, Layout,               \
                            const Algorithm*, void*, size_t, CUstream))

struct Library {
#define OSTINATO_DECLARE(NAME, ...) std::type_identity_t<__VA_ARGS__> NAME##_ = nullptr;
  OSTINATO_CUBLASLT_FUNCTIONS(OSTINATO_DECLARE)
#undef OSTINATO_DECLARE
};

// Where the library may lie, tried in order before the system's; OSTINATO_LIBCUBLASLT goes first.
void set_places(std::vector<std::string> paths);
// Throws Error (device) where there is none.
const Library& library();
// The handle of `device`.
Handle handle_of(int device);
// Throws Error (device) naming `what` unless `status` is 0.
void check(int status, const char* what);

#define OSTINATO_CUBLASLT(NAME, ...) \
  ::ostinato::cuda::lt::check(::ostinato::cuda::lt::library().NAME##_(__VA_ARGS__), #NAME)

}  // namespace ostinato::cuda::lt
