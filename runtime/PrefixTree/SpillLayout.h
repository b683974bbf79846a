// How a file of spilled blocks lies on the disk (SpillFile.h), for what opens it and what uses it.
#pragma once
#include "runtime/PrefixTree/SpillFile.h"
#include <sys/types.h>

namespace stepdown::SpillLayout {

constexpr uint64_t page = 4096;

struct SlotHeader {
  SpillFile::Key key;
  uint64_t number;
  uint32_t parts, reserved;
  uint64_t reservedToo;
  uint64_t checksum; ///< XXH3 of what is before
};
static_assert(sizeof(SlotHeader) == 64);

/// Bytes that were read, fewer at the end of the file; -1: errno.
ssize_t readAt(int fd, void *to, size_t size, uint64_t offset);

} // namespace stepdown::SpillLayout
