#include "blas.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <stdexcept>

namespace ostinato::blas {
namespace {

enum class Layout : int { row_major = 101 };
enum class Transpose : int { no = 111, yes = 112 };

template <typename T>
using Gemm = void (*)(Layout, Transpose, Transpose, int64_t, int64_t, int64_t, T, const T*, int64_t,
                      const T*, int64_t, T, T*, int64_t);

std::mutex load_mutex;
std::atomic<Gemm<float>> sgemm{nullptr};
std::atomic<Gemm<double>> dgemm{nullptr};

template <typename Function>
Function resolve(void* library, const std::string& path, const char* symbol) {
  void* address = dlsym(library, symbol);
  if (address == nullptr) {
    throw std::runtime_error("cannot use the BLAS at " + path + ": it has no symbol " + symbol +
                             "; reinstall scipy-openblas64");
  }
  return reinterpret_cast<Function>(address);
}

template <typename T>
void call(Gemm<T> product, bool trans_a, bool trans_b, int64_t m, int64_t n, int64_t k, T alpha,
          const T* a, int64_t lda, const T* b, int64_t ldb, T beta, T* c, int64_t ldc) {
  if (product == nullptr) throw std::logic_error("blas::gemm was called before blas::load");
  if (m == 0 || n == 0) return;
  // BLAS refuses a leading dimension of 0, which an empty inner dimension gives.
  const auto stride = [](int64_t leading) { return std::max<int64_t>(leading, 1); };
  product(Layout::row_major, trans_a ? Transpose::yes : Transpose::no,
          trans_b ? Transpose::yes : Transpose::no, m, n, k, alpha, a, stride(lda), b, stride(ldb),
          beta, c, stride(ldc));
}

}  // namespace

void load(const std::string& path) {
  const std::lock_guard lock(load_mutex);
  if (sgemm.load() != nullptr) return;
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    throw std::runtime_error("cannot open the BLAS at " + path + ": " + dlerror());
  }
  const auto double_product = resolve<Gemm<double>>(library, path, "scipy_cblas_dgemm64_");
  const auto float_product = resolve<Gemm<float>>(library, path, "scipy_cblas_sgemm64_");
  resolve<void (*)(int)>(library, path, "scipy_openblas_set_num_threads64_")(1);
  dgemm = double_product;
  sgemm = float_product;
}

void gemm(bool trans_a, bool trans_b, int64_t m, int64_t n, int64_t k, float alpha, const float* a,
          int64_t lda, const float* b, int64_t ldb, float beta, float* c, int64_t ldc) {
  call(sgemm.load(), trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

void gemm(bool trans_a, bool trans_b, int64_t m, int64_t n, int64_t k, double alpha,
          const double* a, int64_t lda, const double* b, int64_t ldb, double beta, double* c,
          int64_t ldc) {
  call(dgemm.load(), trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

}  // namespace ostinato::blas
