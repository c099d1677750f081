// Values of the host, as parameters, to memory of the device.
#include "cuda/kernels/each.cuh"
#include "cuda/kernels/slots.hpp"

namespace ostinato::cuda {

OSTINATO_GLOBAL(store_slots, SlotParams) {
  for_each(p.count, [&](uint32_t i) { p.to[i] = p.values[i]; });
}

OSTINATO_GLOBAL(store_word, WordParams) {
  for_each(p.count, [&](uint32_t i) { p.to[i] = p.value; });
}

}  // namespace ostinato::cuda
