// Any bytes as a safetensors file: read or refused, and whatever was read can be used. Bytes rarely have the right
// length in front, so each input is tried again as a header alone, with data of the length that its first two bytes
// say.
#include "lib/Checkpoint/HuggingFace/Safetensors.h"

#include <cstdlib>
#include <string>

using namespace stepdown;

namespace {

volatile float sink; // keeps reads from being optimised away

void use(const uint8_t *data, size_t size) {
  Result<std::vector<SafeTensor>> tensors = readSafetensors("input", data, size);
  if (!tensors) {
    if (tensors.error().message.empty())
      std::abort();
    return;
  }
  uint64_t end = 0;
  for (const SafeTensor &tensor : *tensors) {
    const BlockFormat *format = blockFormat(tensor.storage);
    uint64_t elements = 1;
    for (uint64_t dimension : tensor.shape)
      elements *= dimension;
    // What the reader promises: in the file, in order, without a gap, and as many bytes as the shape has.
    if (!format || tensor.bytes != elements * static_cast<uint64_t>(format->bytes) ||
        tensor.data != data + tensor.offset || tensor.offset + tensor.bytes > size || (end && tensor.offset != end))
      std::abort();
    end = tensor.offset + tensor.bytes;
    for (uint64_t at = 0; at < tensor.bytes; at += static_cast<uint64_t>(format->bytes)) {
      float value;
      decode(*format, tensor.data + at, 1, &value);
      sink = value;
    }
  }
  if (end && end != size)
    std::abort();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  use(data, size);
  if (size < 2)
    return 0;
  const uint64_t length = size - 2;
  std::string file;
  for (int i = 0; i < 8; ++i)
    file += static_cast<char>(length >> (8 * i));
  file.append(reinterpret_cast<const char *>(data) + 2, length);
  file.append(static_cast<size_t>(data[0] | data[1] << 8) % 4096, '\x3c');
  use(reinterpret_cast<const uint8_t *>(file.data()), file.size());
  return 0;
}
