// SHA-256 (FIPS 180-4).
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

namespace stepdown {

class Sha256 {
public:
  enum class Way { fastest, portable }; ///< fastest: with the processor's instructions for it, where it has them
  explicit Sha256(Way way = Way::fastest);
  void add(const void *bytes, size_t size);
  // The digest of what was added, as bytes and in lower-case hexadecimal; nothing may be added afterwards.
  std::array<uint8_t, 32> digest();
  std::string finish();

private:
  using Blocks = void(std::array<uint32_t, 8> &state, const uint8_t *bytes, size_t count); ///< of 64 bytes each
  static Blocks portable, instructions;
  Blocks *blocks;
  std::array<uint32_t, 8> state = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                   0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<uint8_t, 64> pending{};
  uint64_t length = 0;
};

} // namespace stepdown
