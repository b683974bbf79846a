#pragma once
#include <cstdint>
#include <cstring>

namespace stepdown {

/// The integer of type T (at most 64 bits, the machine's order) that the bytes begin with; they need no alignment.
template <typename T> uint64_t loadUnaligned(const char *bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

} // namespace stepdown
