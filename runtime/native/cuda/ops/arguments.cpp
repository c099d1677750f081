#include "cuda/ops/arguments.hpp"

#include "cpu/convert.hpp"

namespace ostinato::cuda {

void check_size(const char* op, int64_t elements) {
  if (elements < int64_t{1} << 31) return;
  throw Error(ErrorKind::shape, std::string(op) + ": " + std::to_string(elements) +
                                    " elements; on CUDA give fewer than 2^31, in parts");
}

Argument argument_of(const Tensor& t, DType wanted) {
  Argument made;
  made.dtype = t.dtype();
  made.is_value = t.device().is_cpu();
  if (made.is_value) {
    made.bits = 0;
    converter(t.dtype(), wanted)(memory_of(t), 0, reinterpret_cast<char*>(&made.bits), 0, 1);
  } else {
    made.memory = memory_of(t);
  }
  return made;
}

}  // namespace ostinato::cuda
