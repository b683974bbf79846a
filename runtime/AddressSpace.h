// How many addresses a device sets aside for arrays whose sizes a call decides.
#pragma once
#include <algorithm>
#include <cstddef>
#include <unistd.h>

namespace stepdown {

constexpr size_t kFewestReservedBytes = size_t(1) << 24;

/// Asks `map` for as many bytes as the machine has memory, then for half as many each time down to
/// kFewestReservedBytes, in whole pages of 4096, until it has them; returns how many that are, or 0.
template <typename Map> size_t reserveMost(Map &&map) {
  const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
  size_t size = kFewestReservedBytes;
  if (pages > 0 && page > 0)
    size = std::max(size, static_cast<size_t>(pages) * static_cast<size_t>(page));
  for (; size >= kFewestReservedBytes; size /= 2) {
    size = size / 4096 * 4096;
    if (map(size))
      return size;
  }
  return 0;
}

} // namespace stepdown
