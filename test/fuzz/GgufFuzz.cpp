// Any bytes as a GGUF file: read or refused, and whatever was read can be used.
#include "lib/Checkpoint/GgufShard.h"

#include <cstdlib>
#include <vector>

using namespace stepdown;

namespace {

volatile uint64_t sink; // keeps reads from being optimised away

void readEverything(const Metadata &meta) {
  for (std::string_view key : meta.keys()) {
    if (auto v = meta.unsignedInteger(key))
      sink = *v;
    if (auto v = meta.integer(key))
      sink = static_cast<uint64_t>(*v);
    if (auto v = meta.real(key))
      sink = *v != 0;
    if (auto v = meta.boolean(key))
      sink = *v;
    if (auto v = meta.string(key))
      for (char c : *v)
        sink = static_cast<uint64_t>(c);
    if (auto v = meta.strings(key))
      for (std::string_view text : *v)
        sink = text.empty() ? 0 : static_cast<uint64_t>(text.back());
    if (auto v = meta.reals(key))
      sink = v->size();
    if (auto v = meta.integers(key))
      sink = v->size();
  }
}

void decodeEverything(const StoredTensor &tensor, const uint8_t *end) {
  const BlockFormat *format = blockFormat(tensor.storage);
  if (!format || tensor.data + tensor.bytes > end)
    std::abort(); // a reader that promises this must keep it
  std::vector<float> values(static_cast<size_t>(format->elements));
  for (uint64_t at = 0; at < tensor.bytes; at += format->bytes) {
    decode(*format, tensor.data + at, 1, values.data());
    sink = values[0] != 0;
  }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  for (bool metadataOnly : {false, true}) {
    Result<GgufShard> shard = readShard("input", data, size, metadataOnly);
    if (!shard) {
      if (shard.error().message.empty())
        std::abort();
      continue;
    }
    readEverything(*shard->meta);
    if (!metadataOnly)
      for (const StoredTensor &tensor : shard->tensors)
        decodeEverything(tensor, data + size);
  }
  return 0;
}
