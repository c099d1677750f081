// Matrix products on the pool: BLAS for tiles, own loops for small ones.
#pragma once
#include "core/tensor.hpp"
#include "cpu/simd/small_product.hpp"

namespace ostinato {

// `count` products of (m, k) and (k, n) matrices; a and b are those of product 0.
template <class T>
struct Products {
  int64_t m, n, k;
  Matrix<const T> a, b;
  T* c;  // dense (count, m, n)
  int64_t count = 1;
  // Of the leading axes: sizes, and how far the matrices of a and b are apart.
  Sizes sizes = {}, a_strides = {}, b_strides = {};
  const T* bias = nullptr;  // n elements added to each row; count is 1
};

// Whether BLAS reads a matrix of `rows` by `columns` with these strides.
bool suits_blas(int64_t rows, int64_t columns, int64_t row, int64_t column);

// Matrices suit BLAS.
void multiply(const Products<float>& p);
void multiply(const Products<double>& p);

// c = a b for one pair of matrices that suit BLAS, on this thread; with `adds`, c += a b.
void multiply_here(int64_t m, int64_t n, int64_t k, Matrix<const float> a, Matrix<const float> b,
                   float* c, int64_t ldc, bool adds);
void multiply_here(int64_t m, int64_t n, int64_t k, Matrix<const double> a, Matrix<const double> b,
                   double* c, int64_t ldc, bool adds);

// The inner product of n elements side by side.
float dot(const float* x, const float* y, int64_t n);
double dot(const double* x, const double* y, int64_t n);

}  // namespace ostinato
