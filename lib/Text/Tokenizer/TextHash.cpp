#include "lib/Text/Tokenizer/TextHash.h"
#include "lib/Text/Tokenizer/Unaligned.h"
#include <random>

namespace stepdown {
namespace {

uint64_t fold(uint64_t a, uint64_t b) {
  __extension__ using Wide = unsigned __int128;
  Wide product = static_cast<Wide>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

/// Drawn once a process, so that no file can be made whose tokens all fall on one slot.
uint64_t hashSeed() {
  static const uint64_t seed = [] {
    std::random_device device;
    return (static_cast<uint64_t>(device()) << 32 | device()) | 1;
  }();
  return seed;
}

} // namespace

uint64_t hashText(std::string_view text) {
  constexpr uint64_t odd0 = 0x9e3779b97f4a7c15, odd1 = 0xc2b2ae3d27d4eb4f;
  const char *p = text.data();
  size_t n = text.size();
  uint64_t hash = hashSeed() ^ n * odd1;
  for (; n > 16; p += 16, n -= 16)
    hash = fold(loadUnaligned<uint64_t>(p) ^ hash, loadUnaligned<uint64_t>(p + 8) ^ odd0);
  // The last 0 to 16 bytes as two words that may overlap.
  uint64_t a = 0, b = 0;
  if (n >= 8)
    a = loadUnaligned<uint64_t>(p), b = loadUnaligned<uint64_t>(p + n - 8);
  else if (n >= 4)
    a = loadUnaligned<uint32_t>(p), b = loadUnaligned<uint32_t>(p + n - 4);
  else if (n)
    a = static_cast<uint8_t>(p[0]) | static_cast<uint8_t>(p[n / 2]) << 8 | static_cast<uint8_t>(p[n - 1]) << 16;
  return fold(fold(a ^ hash, b ^ odd0) ^ odd1, hash ^ odd1);
}

} // namespace stepdown
