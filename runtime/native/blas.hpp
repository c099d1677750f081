// Matrix products on the CPU, through a BLAS that is opened at run time.
#pragma once

#include <cstdint>
#include <string>

namespace ostinato::blas {

// Opens the scipy-openblas64 library at `path` and tells it to use one thread: the pool splits
// products itself. Later calls do nothing. Throws std::runtime_error naming the path.
void load(const std::string& path);

// C = alpha * op(A) * op(B) + beta * C, row-major: op(A) is m by k, op(B) k by n, C m by n. A
// leading dimension is the distance between rows as stored. With beta 0, C is not read. Safe from
// several threads at once. Throws std::logic_error before load().
void gemm(bool trans_a, bool trans_b, int64_t m, int64_t n, int64_t k, float alpha, const float* a,
          int64_t lda, const float* b, int64_t ldb, float beta, float* c, int64_t ldc);
void gemm(bool trans_a, bool trans_b, int64_t m, int64_t n, int64_t k, double alpha,
          const double* a, int64_t lda, const double* b, int64_t ldb, double beta, double* c,
          int64_t ldc);

}  // namespace ostinato::blas
