// How the stand-in for cuBLASLt asks a stand-in for the driver to do what a kernel would do.
#pragma once
#include <cuda.h>

#include <functional>

// Does `work` on `stream`; events then find that it took so many milliseconds.
void queue_work(CUstream stream, double milliseconds, std::function<void()> work);
