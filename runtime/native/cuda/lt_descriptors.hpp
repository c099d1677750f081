// What cuBLASLt is told of a product, as objects that free themselves.
#pragma once
#include <utility>

#include "cuda/blas.hpp"
#include "cuda/cublaslt.hpp"

namespace ostinato::cuda::lt {

struct MatmulDescriptor {
  Descriptor made = nullptr;

  MatmulDescriptor(Compute compute, DataType scale) {
    OSTINATO_CUBLASLT(cublasLtMatmulDescCreate, &made, compute, scale);
  }
  MatmulDescriptor(const MatmulDescriptor&) = delete;
  MatmulDescriptor& operator=(const MatmulDescriptor&) = delete;
  ~MatmulDescriptor() { library().cublasLtMatmulDescDestroy_(made); }

  template <class T>
  void set(DescriptorAttribute what, T value) {
    OSTINATO_CUBLASLT(cublasLtMatmulDescSetAttribute, made, what, &value, sizeof value);
  }
};

// A matrix of `rows` by `columns`, or the other way round where it is transposed.
struct SideLayout {
  Layout made = nullptr;

  SideLayout(DataType type, const blas::Side& side, int64_t rows, int64_t columns, int64_t count) {
    if (side.transposed) std::swap(rows, columns);
    // The library counts down columns, so it is told the transpose.
    OSTINATO_CUBLASLT(cublasLtMatrixLayoutCreate, &made, type, static_cast<uint64_t>(columns),
                      static_cast<uint64_t>(rows), side.leading);
    set(LayoutAttribute::batch_count, static_cast<int32_t>(count));
    set(LayoutAttribute::strided_batch_offset, side.batch);
  }
  SideLayout(const SideLayout&) = delete;
  SideLayout& operator=(const SideLayout&) = delete;
  ~SideLayout() { library().cublasLtMatrixLayoutDestroy_(made); }

 private:
  template <class T>
  void set(LayoutAttribute what, T value) {
    OSTINATO_CUBLASLT(cublasLtMatrixLayoutSetAttribute, made, what, &value, sizeof value);
  }
};

struct MatmulPreference {
  Preference made = nullptr;

  MatmulPreference() { OSTINATO_CUBLASLT(cublasLtMatmulPreferenceCreate, &made); }
  MatmulPreference(const MatmulPreference&) = delete;
  MatmulPreference& operator=(const MatmulPreference&) = delete;
  ~MatmulPreference() { library().cublasLtMatmulPreferenceDestroy_(made); }

  template <class T>
  void set(PreferenceAttribute what, T value) {
    OSTINATO_CUBLASLT(cublasLtMatmulPreferenceSetAttribute, made, what, &value, sizeof value);
  }
};

}  // namespace ostinato::cuda::lt
