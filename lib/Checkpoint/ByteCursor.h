// A position in a bounded span of little-endian bytes. Every length is checked by subtraction against what remains, so
// no count or length that a file claims can wrap or reach past the end.
#pragma once
#include <cstdint>
#include <cstring>
#include <string_view>

namespace stepdown {

struct ByteCursor {
  const uint8_t *span; ///< [size]
  size_t size;
  size_t offset = 0;

  size_t remaining() const { return size - offset; }
  bool holds(uint64_t bytes) const { return bytes <= remaining(); }
  const uint8_t *here() const { return span + offset; }

  /// Reads one scalar and moves past it; false, without moving, when the span ends first.
  template <typename T> bool read(T &value) {
    if (!holds(sizeof(T)))
      return false;
    std::memcpy(&value, here(), sizeof(T));
    offset += sizeof(T);
    return true;
  }
  /// Reads `length` bytes as a view into the span.
  bool read(std::string_view &text, uint64_t length) {
    if (!holds(length))
      return false;
    text = std::string_view(reinterpret_cast<const char *>(here()), static_cast<size_t>(length));
    offset += static_cast<size_t>(length);
    return true;
  }
};

} // namespace stepdown
