#include "tools/stepdown-run/EditedText.h"

#include <algorithm>
#include <cctype>
#include <utf8proc.h>

namespace stepdown::run {
namespace {

constexpr size_t tabColumns = 4;

/// The character at the beginning of `text`, which is UTF-8 and not empty.
size_t characterBytes(std::string_view text) {
  const auto *data = reinterpret_cast<const utf8proc_uint8_t *>(text.data());
  utf8proc_int32_t last = 0, state = 0;
  size_t at = 0;
  while (at < text.size()) {
    utf8proc_int32_t point;
    const auto size = utf8proc_iterate(data + at, static_cast<utf8proc_ssize_t>(text.size() - at), &point);
    if (size <= 0)
      return std::max<size_t>(at, 1);
    if (at > 0 && utf8proc_grapheme_break_stateful(last, point, &state))
      break;
    last = point;
    at += static_cast<size_t>(size);
  }
  return at;
}

/// Columns of one character: those of its widest code point, as terminals take accents and joined emoji; a flag, of two
/// code points with one column each, has two.
size_t characterColumns(std::string_view character) {
  constexpr utf8proc_int32_t flagA = 0x1f1e6, flagZ = 0x1f1ff;
  if (character == "\t")
    return tabColumns;
  const auto *data = reinterpret_cast<const utf8proc_uint8_t *>(character.data());
  size_t columns = 0;
  for (size_t at = 0; at < character.size();) {
    utf8proc_int32_t point;
    const auto size = utf8proc_iterate(data + at, static_cast<utf8proc_ssize_t>(character.size() - at), &point);
    if (size <= 0)
      return 1;
    if (point >= flagA && point <= flagZ)
      return character.size() > static_cast<size_t>(size) ? 2 : 1;
    columns = std::max(columns, static_cast<size_t>(std::max(utf8proc_charwidth(point), 0)));
    at += static_cast<size_t>(size);
  }
  return columns;
}

/// Whether terminals agree that `character`, of two columns, goes to the next row where one column is left. Some take a
/// flag for its two code points.
bool wrapsWhole(std::string_view character) {
  utf8proc_int32_t point = 0;
  utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t *>(character.data()),
                   static_cast<utf8proc_ssize_t>(character.size()), &point);
  return utf8proc_charwidth(point) == 2;
}

/// UTF-8 with newlines and tabs, and no other control characters.
std::string cleaned(std::string_view text) {
  std::string out;
  const auto *data = reinterpret_cast<const utf8proc_uint8_t *>(text.data());
  for (size_t at = 0; at < text.size();) {
    utf8proc_int32_t point;
    const auto size = utf8proc_iterate(data + at, static_cast<utf8proc_ssize_t>(text.size() - at), &point);
    if (size <= 0) {
      out += "\xEF\xBF\xBD";
      ++at;
      continue;
    }
    const bool control = point < 32 || (point >= 127 && point < 160);
    if (!control || point == '\n' || point == '\t')
      out.append(text, at, static_cast<size_t>(size));
    at += static_cast<size_t>(size);
  }
  return out;
}

bool isBlank(char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; }
bool isWord(char c) { return std::isalnum(static_cast<unsigned char>(c)) || (c & 0x80) || c == '_'; }

} // namespace

size_t columnsOf(std::string_view text) {
  size_t columns = 0;
  for (size_t at = 0, size; at < text.size(); at += size) {
    size = characterBytes(text.substr(at));
    columns += characterColumns(text.substr(at, size));
  }
  return columns;
}

size_t EditedText::after(size_t offset) const {
  return offset >= bytes.size() ? bytes.size() : offset + characterBytes(std::string_view(bytes).substr(offset));
}

// Characters are found from the left: where one begins depends on what is before it.
size_t EditedText::before(size_t offset) const {
  size_t line = offset == 0 ? 0 : bytes.rfind('\n', offset - 1) + 1; // 0 where there is none
  if (line == offset)
    return offset == 0 ? 0 : offset - 1;
  while (after(line) < offset)
    line = after(line);
  return line;
}

// What comes to stand beside each other may be one character: a letter and the accent behind the cursor, halves of
// flags.
void EditedText::leaveCharacter() {
  size_t place = at == 0 ? 0 : bytes.rfind('\n', at - 1) + 1;
  while (place < at)
    place = after(place);
  at = place;
}

void EditedText::set(std::string_view text) {
  bytes = cleaned(text);
  at = bytes.size();
}

void EditedText::insert(std::string_view text) {
  const std::string good = cleaned(text);
  bytes.insert(at, good);
  at += good.size();
  leaveCharacter();
}

void EditedText::left() { at = before(at); }
void EditedText::right() { at = after(at); }

// Finds all characters at once: one by one from the right, each would be looked for from the left.
void EditedText::leftOver(bool (*between)(char), bool (*within)(char)) {
  std::vector<size_t> begins;
  for (size_t place = 0; place < at; place = after(place))
    begins.push_back(place);
  for (bool (*passes)(char) : {between, within})
    for (; !begins.empty() && passes(bytes[begins.back()]); begins.pop_back())
      at = begins.back();
}

void EditedText::wordLeft() {
  leftOver([](char c) { return !isWord(c); }, isWord);
}

void EditedText::wordRight() {
  while (at < bytes.size() && !isWord(bytes[at]))
    right();
  while (at < bytes.size() && isWord(bytes[at]))
    right();
}

void EditedText::lineBegin() { at = at == 0 ? 0 : bytes.rfind('\n', at - 1) + 1; }
void EditedText::lineEnd() { at = std::min(bytes.find('\n', at), bytes.size()); }

std::string EditedText::kill(size_t from, size_t to) {
  std::string gone = bytes.substr(from, to - from);
  bytes.erase(from, to - from);
  at = from;
  leaveCharacter();
  return gone;
}

void EditedText::eraseLeft() { kill(before(at), at); }
void EditedText::eraseRight() { kill(at, after(at)); }

std::string EditedText::killWordLeft() {
  const size_t end = at;
  wordLeft();
  return kill(at, end);
}

std::string EditedText::killSpaceLeft() {
  const size_t end = at;
  leftOver(isBlank, [](char c) { return !isBlank(c); });
  return kill(at, end);
}

std::string EditedText::killWordRight() {
  const size_t begin = at;
  wordRight();
  return kill(begin, at);
}

std::string EditedText::killToLineBegin() {
  const size_t end = at;
  lineBegin();
  return kill(at, end);
}

// On the end of a line the newline goes.
std::string EditedText::killToLineEnd() {
  const size_t begin = at;
  lineEnd();
  return kill(begin, at == begin ? after(at) : at);
}

void EditedText::swapLetters() {
  if (at == 0 || bytes.size() < 2)
    return;
  if (at == bytes.size() || bytes[at] == '\n')
    left();
  const size_t first = before(at);
  if (first == at)
    return;
  const size_t end = after(at);
  bytes = bytes.substr(0, first) + bytes.substr(at, end - at) + bytes.substr(first, at - first) + bytes.substr(end);
  at = end;
  leaveCharacter();
}

TextLayout EditedText::layout(std::string_view prompt, size_t width, std::vector<Place> *places) const {
  TextLayout out;
  out.rows.emplace_back();
  auto breakRow = [&](std::string_view next) {
    out.rows.back().broken = out.rows.back().columns == width || wrapsWhole(next);
    out.rows.emplace_back();
  };
  size_t indent = 0;
  for (size_t offset = 0, size; offset < prompt.size(); offset += size) { // one of a search may be long
    size = characterBytes(prompt.substr(offset));
    const std::string_view character = prompt.substr(offset, size);
    const size_t columns = characterColumns(character);
    if (out.rows.back().columns + columns > width)
      breakRow(character);
    out.rows.back().bytes += character;
    out.rows.back().columns += columns;
    indent += columns;
  }
  for (size_t offset = 0, size;; offset += size) {
    const bool end = offset >= bytes.size();
    std::string_view character;
    size_t columns = 1; // that the cursor takes at the end
    if (!end && bytes[offset] != '\n') {
      character = std::string_view(bytes).substr(offset, characterBytes(std::string_view(bytes).substr(offset)));
      columns = characterColumns(character);
    }
    const bool fits = out.rows.back().columns + columns <= width;
    // The cursor before a newline, or at the end, wants a column of its own.
    if (!fits && (!character.empty() || offset == at))
      breakRow(character);
    const Place place = {offset, out.rows.size() - 1, out.rows.back().columns};
    if (places)
      places->push_back(place);
    if (offset == at) {
      out.cursorRow = place.row;
      out.cursorColumn = place.column;
    }
    if (end)
      return out;
    size = character.empty() ? 1 : character.size();
    if (character.empty()) {
      const size_t blanks = std::min(indent, width - 1);
      out.rows.push_back({std::string(blanks, ' '), blanks, false});
      continue;
    }
    out.rows.back().bytes += character == "\t" ? std::string(tabColumns, ' ') : std::string(character);
    out.rows.back().columns += columns;
  }
}

bool EditedText::moveRows(std::string_view prompt, size_t width, int by) {
  std::vector<Place> places;
  const TextLayout now = layout(prompt, width, &places);
  const size_t target = now.cursorRow + static_cast<size_t>(by);
  if ((by < 0 && now.cursorRow == 0) || target >= now.rows.size())
    return false;
  size_t bestGap = static_cast<size_t>(-1);
  for (const Place &place : places) {
    const size_t gap =
        place.column > now.cursorColumn ? place.column - now.cursorColumn : now.cursorColumn - place.column;
    if (place.row == target && gap < bestGap)
      at = place.offset, bestGap = gap;
  }
  return true;
}

} // namespace stepdown::run
