// Metadata from bytes in memory, for tests of what reads nothing else of a file.
#pragma once
#include "GgufBytes.h"

namespace stepdown {

class MadeMetadata {
public:
  explicit MadeMetadata(const GgufBytes &file) : bytes(file.bytes()), parsed(parse()) {}
  MadeMetadata(const MadeMetadata &) = delete;
  const Metadata &metadata() const { return *parsed; }

private:
  Result<Metadata> parse() const {
    constexpr size_t countAt = 16, pairsAt = 24; // of the GGUF header
    uint64_t count;
    std::memcpy(&count, bytes.data() + countAt, sizeof count);
    size_t offset = pairsAt;
    return Metadata::parse("made.gguf", reinterpret_cast<const uint8_t *>(bytes.data()), bytes.size(), offset, count);
  }
  std::string bytes;
  Result<Metadata> parsed;
};

} // namespace stepdown
