// The functions of libcuda that the stand-in has not: each returns CUDA_ERROR_NOT_SUPPORTED.
#include "cuda/driver.hpp"

extern "C" int cuda_on_cpu_refuses() { return CUDA_ERROR_NOT_SUPPORTED; }

#define OSTINATO_TEXT(name) #name
#define OSTINATO_SYMBOL(name) OSTINATO_TEXT(name)
// A weak symbol gives way to the function of driver.cpp; written in assembly since each has a type
// of its own.
#define OSTINATO_REFUSE(name) \
  asm(".weak " OSTINATO_SYMBOL(name) "\n.set " OSTINATO_SYMBOL(name) ", cuda_on_cpu_refuses");
OSTINATO_DRIVER_FUNCTIONS(OSTINATO_REFUSE)
