// Any bytes as a .npy file: read or refused, and what was read lies inside the bytes.
#include "runtime/Npy.h"

#include <cstdlib>

using namespace stepdown;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  Result<NpyArray> array = parseNpy("input", data, size);
  if (!array)
    return 0;
  uint64_t bytes = array->elementBytes;
  for (uint64_t dim : array->shape)
    bytes *= dim;
  if (bytes != array->bytes || array->data < data || array->bytes > size_t(data + size - array->data))
    std::abort();
  return 0;
}
