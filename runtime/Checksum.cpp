#include "runtime/Checksum.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace stepdown {

uint64_t checksumOf(const void *bytes, size_t size) { return XXH3_64bits(bytes, size); }

} // namespace stepdown
