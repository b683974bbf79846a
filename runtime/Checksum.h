// XXH3 with 64 bits, the checksum of every section of an artifact.
#pragma once
#include <cstddef>
#include <cstdint>

namespace stepdown {

uint64_t checksumOf(const void *bytes, size_t size);

} // namespace stepdown
