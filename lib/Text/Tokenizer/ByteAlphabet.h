// Byte-level BPE writes each byte as one printable character: bytes 33-126, 161-172 and 174-255 as themselves, the
// other 68 in increasing order as U+0100, U+0101 ...
#pragma once
#include <cstdint>

namespace stepdown {

class ByteAlphabet {
public:
  static const ByteAlphabet &get() {
    static const ByteAlphabet alphabet;
    return alphabet;
  }
  uint32_t characterOf(uint8_t byte) const { return characters[byte]; }
  /// The byte that `character` stands for, or -1.
  int byteOf(uint32_t character) const { return character < 324 ? bytes[character] : -1; }

private:
  ByteAlphabet() {
    for (int16_t &byte : bytes)
      byte = -1;
    uint16_t next = 256;
    for (int byte = 0; byte < 256; ++byte) {
      bool printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
      characters[byte] = printable ? static_cast<uint16_t>(byte) : next++;
      bytes[characters[byte]] = static_cast<int16_t>(byte);
    }
  }
  uint16_t characters[256];
  int16_t bytes[324]; // 256 + 68
};

} // namespace stepdown
