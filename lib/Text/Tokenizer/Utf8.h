// UTF-8 as the Unicode standard defines it: no overlong forms, no surrogates, nothing above U+10FFFF.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace stepdown {

/// What the first byte of a character says: its length in bytes (0: no character begins so), and which second bytes may
/// follow.
struct Utf8Lead {
  size_t length;
  uint8_t low = 0x80, high = 0xbf;
  explicit Utf8Lead(uint8_t lead)
      : length(lead < 0x80   ? 1
               : lead < 0xc2 ? 0
               : lead < 0xe0 ? 2
               : lead < 0xf0 ? 3
               : lead < 0xf5 ? 4
                             : 0) {
    if (lead == 0xe0 || lead == 0xf0)
      low = lead == 0xe0 ? 0xa0 : 0x90;
    if (lead == 0xed || lead == 0xf4)
      high = lead == 0xed ? 0x9f : 0x8f;
  }
};

/// Bytes at the beginning of `text` that could belong to one well-formed character, complete or not: 0 to 4.
inline size_t partialLength(std::string_view text) {
  auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  if (text.empty())
    return 0;
  Utf8Lead lead(byte(0));
  if (lead.length < 2 || text.size() < 2 || byte(1) < lead.low || byte(1) > lead.high)
    return lead.length ? 1 : 0;
  size_t length = 2;
  while (length < lead.length && length < text.size() && byte(length) >> 6 == 2)
    ++length;
  return length;
}

/// Bytes of the well-formed character at the beginning of `text`, 1 to 4; 0 where there is none.
inline size_t characterLength(std::string_view text) {
  if (text.empty())
    return 0;
  if (static_cast<uint8_t>(text[0]) < 0x80)
    return 1;
  size_t length = partialLength(text);
  return length == Utf8Lead(static_cast<uint8_t>(text[0])).length ? length : 0;
}

/// Code point of the well-formed character at the beginning of `text`, which has `length` bytes.
inline uint32_t codePoint(std::string_view text, size_t length) {
  auto byte = [&](size_t i) { return static_cast<uint32_t>(static_cast<uint8_t>(text[i])); };
  switch (length) {
  case 1:
    return byte(0);
  case 2:
    return (byte(0) & 0x1f) << 6 | (byte(1) & 0x3f);
  case 3:
    return (byte(0) & 0x0f) << 12 | (byte(1) & 0x3f) << 6 | (byte(2) & 0x3f);
  default:
    return (byte(0) & 0x07) << 18 | (byte(1) & 0x3f) << 12 | (byte(2) & 0x3f) << 6 | (byte(3) & 0x3f);
  }
}

inline void appendCodePoint(std::string &text, uint32_t code) {
  auto add = [&](uint32_t byte) { text += static_cast<char>(byte); };
  if (code < 0x80)
    return add(code);
  if (code < 0x800)
    return add(0xc0 | code >> 6), add(0x80 | (code & 0x3f));
  if (code < 0x10000)
    return add(0xe0 | code >> 12), add(0x80 | (code >> 6 & 0x3f)), add(0x80 | (code & 0x3f));
  add(0xf0 | code >> 18), add(0x80 | (code >> 12 & 0x3f)), add(0x80 | (code >> 6 & 0x3f)), add(0x80 | (code & 0x3f));
}

/// Bytes from the beginning of `text` that are well-formed characters.
inline size_t wellFormedLength(std::string_view text) {
  size_t at = 0;
  while (size_t length = characterLength(text.substr(at)))
    at += length;
  return at;
}

} // namespace stepdown
