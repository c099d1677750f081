// Copies between tensors of any strides and dtypes.
#pragma once
#include <span>

#include "core/tensor.hpp"

namespace ostinato {

// `t` as contiguous elements of `dtype`: itself where it is that already.
Tensor contiguous_as(const Tensor& t, DType dtype);

// Whether the memory of `x` shows `sizes` in row-major order, so that a reshape is no copy.
bool can_view(const Tensor& x, const Sizes& sizes);

// Contiguous room of `dtype` for a result: the result itself where it fits, else memory that
// `store` copies into it.
class ResultBuffer {
 public:
  ResultBuffer(const Tensor& result, DType dtype);
  const Tensor& tensor() const { return work_; }
  template <class T>
  T* data() const {
    return work_.data<T>();
  }
  void store() const;

 private:
  Tensor result_;
  Tensor work_;
};

// What floating point kernels compute in: float for the half types, else the dtype itself.
inline DType compute_dtype(DType t) {
  return t == DType::float16_ || t == DType::bfloat16_ ? DType::float32_ : t;
}

}  // namespace ostinato
