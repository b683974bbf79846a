#include "tools/stepdown-run/Keys.h"

#include <utility>

namespace stepdown::run {
namespace {

constexpr std::string_view pasteBegin = "\x1b[200~", pasteEnd = "\x1b[201~";

constexpr std::pair<std::string_view, KeyKind> sequences[] = {
    {"[A", KeyKind::Up},           {"OA", KeyKind::Up},
    {"[B", KeyKind::Down},         {"OB", KeyKind::Down},
    {"[C", KeyKind::Right},        {"OC", KeyKind::Right},
    {"[D", KeyKind::Left},         {"OD", KeyKind::Left},
    {"[H", KeyKind::Home},         {"OH", KeyKind::Home},
    {"[1~", KeyKind::Home},        {"[7~", KeyKind::Home},
    {"[F", KeyKind::End},          {"OF", KeyKind::End},
    {"[4~", KeyKind::End},         {"[8~", KeyKind::End},
    {"[3~", KeyKind::Delete},      {"[1;5D", KeyKind::WordLeft},
    {"[1;3D", KeyKind::WordLeft},  {"[1;5C", KeyKind::WordRight},
    {"[1;3C", KeyKind::WordRight}, {"[3;5~", KeyKind::KillWordRight},
    {"[13;2u", KeyKind::NewLine},  {"[27;2;13~", KeyKind::NewLine},
    {"\r", KeyKind::NewLine},      {"\n", KeyKind::NewLine},
    {"b", KeyKind::WordLeft},      {"f", KeyKind::WordRight},
    {"d", KeyKind::KillWordRight}, {"\x7f", KeyKind::KillWordLeft},
    {"\b", KeyKind::KillWordLeft},
};

KeyKind controlKey(char c) {
  switch (c) {
  case 1:
    return KeyKind::Home;
  case 2:
    return KeyKind::Left;
  case 3:
    return KeyKind::Interrupt;
  case 4:
    return KeyKind::EndOfInput;
  case 5:
    return KeyKind::End;
  case 6:
    return KeyKind::Right;
  case 7:
    return KeyKind::Cancel;
  case 8:
  case 127:
    return KeyKind::Backspace;
  case 9:
    return KeyKind::Tab;
  case 10: // a line that was typed before the terminal was ours ends so
  case 13:
    return KeyKind::Enter;
  case 11:
    return KeyKind::KillToEnd;
  case 12:
    return KeyKind::Clear;
  case 14:
    return KeyKind::Down;
  case 16:
    return KeyKind::Up;
  case 18:
    return KeyKind::Search;
  case 20:
    return KeyKind::Swap;
  case 21:
    return KeyKind::KillToBegin;
  case 23:
    return KeyKind::KillSpaceLeft;
  case 25:
    return KeyKind::Yank;
  case 26:
    return KeyKind::Suspend;
  default:
    return KeyKind::None;
  }
}

/// Bytes of the escape sequence behind ESC in `text`: 0 where more of it must come.
size_t sequenceBytes(std::string_view text) {
  if (text.empty())
    return 0;
  if (text[0] == 'O')
    return text.size() < 2 ? 0 : 2;
  if (text[0] != '[')
    return 1;
  for (size_t i = 1; i < text.size(); ++i)
    if (text[i] >= 0x40 && text[i] <= 0x7e)
      return i + 1;
  return 0;
}

bool takePaste(std::string &bytes, Key &key) {
  const size_t end = bytes.find(pasteEnd);
  if (end == bytes.npos)
    return false;
  key.kind = KeyKind::Paste;
  for (size_t i = pasteBegin.size(); i < end; ++i) // terminals send line ends as Enter is sent
    if (bytes[i] == '\r') {
      key.text += '\n';
      i += i + 1 < end && bytes[i + 1] == '\n';
    } else {
      key.text += bytes[i];
    }
  bytes.erase(0, end + pasteEnd.size());
  return true;
}

/// Bytes that the letter which begins with `c` has, as far as `c` tells.
size_t letterBytes(unsigned char c) { return c < 0xc0 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4; }

} // namespace

int patience(const std::string &bytes) {
  constexpr int escapeMilliseconds = 50, sequenceMilliseconds = 1000; // a line over the network may stop for a while
  if (bytes.empty() || bytes[0] != '\x1b' || bytes.compare(0, pasteBegin.size(), pasteBegin) == 0)
    return -1;
  return bytes.size() == 1 ? escapeMilliseconds : sequenceMilliseconds;
}

bool takeKey(std::string &bytes, bool noMore, Key &key) {
  key = {};
  if (bytes.empty())
    return false;
  const auto first = static_cast<unsigned char>(bytes[0]);
  if (first == 0x1b) {
    if (bytes.compare(0, pasteBegin.size(), pasteBegin) == 0)
      return takePaste(bytes, key);
    if (bytes.size() > 1 && bytes[1] == '\x1b') { // Escape alone, or Alt before a key that has a sequence of its own
      bytes.erase(0, 1);
      return true;
    }
    size_t size = sequenceBytes(std::string_view(bytes).substr(1));
    if (size == 0 && !noMore)
      return false;
    if (size == 0)
      size = bytes.size() - 1; // Escape alone, or half of something
    const std::string sequence = bytes.substr(1, size);
    bytes.erase(0, 1 + size);
    for (auto [known, kind] : sequences)
      if (sequence == known)
        key.kind = kind;
    return true;
  }
  if (first < 32 || first == 127) {
    key.kind = controlKey(bytes[0]);
    bytes.erase(0, 1);
    return true;
  }
  key.kind = KeyKind::Text;
  while (!bytes.empty() && static_cast<unsigned char>(bytes[0]) >= 32 && bytes[0] != 127) {
    const size_t size = letterBytes(static_cast<unsigned char>(bytes[0]));
    if (size > bytes.size() && !noMore)
      break;
    key.text += bytes.substr(0, size);
    bytes.erase(0, size);
  }
  return !key.text.empty();
}

} // namespace stepdown::run
