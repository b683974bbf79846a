// Which bytes launches touch, each once however often it is.
#pragma once
#include <cstdint>
#include <unordered_map>

namespace stepdown::test {

class TouchedBytes {
public:
  void touch(const void *address, uint32_t bytes) {
    for (uint64_t at = reinterpret_cast<uint64_t>(address), end = at + bytes; at < end; ++at)
      lines[at / 64] |= uint64_t(1) << at % 64;
  }
  /// `visit(address)` of each, in no order.
  template <typename Visit> void each(Visit visit) const {
    for (const auto &[line, bytes] : lines)
      for (int bit = 0; bit < 64; ++bit)
        if (bytes >> bit & 1)
          visit(line * 64 + bit);
  }
  uint64_t count() const {
    uint64_t found = 0;
    each([&](uint64_t) { ++found; });
    return found;
  }
  void clear() { lines.clear(); }

private:
  std::unordered_map<uint64_t, uint64_t> lines; ///< 64 bytes a line, a bit each
};

} // namespace stepdown::test
