// Strings as Python sees them: sequences of code points, held here as UTF-8. A byte that is not part of valid UTF-8
// counts as one code point and is passed on as it is. Case and classes are those of utf8proc's Unicode version.
#pragma once
#include "lib/Text/ChatTemplate/Budget.h"
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace stepdown::jinja {

/// The code point at `at` and its bytes (1 for an invalid byte, which comes back as 0xDC00 + byte, as in Python).
uint32_t decodeAt(std::string_view s, size_t at, size_t &bytes);
void appendPoint(String &s, uint32_t point);
size_t countPoints(std::string_view s);
/// Byte offset of code point `index`, or the size of `s` if there are fewer.
size_t offsetOf(std::string_view s, size_t index);

bool isSpace(uint32_t point);
bool isDecimal(uint32_t point); ///< general category Nd
bool isAlpha(uint32_t point);
bool isNumeric(uint32_t point); ///< isalnum beyond letters: Nd, Nl, No
bool isPrintable(uint32_t point);
bool isWord(uint32_t point); ///< \w: letters, marks of identifiers, numbers, underscore
bool isUpper(uint32_t point);
bool isLower(uint32_t point);
bool isTitle(uint32_t point);
bool isCased(uint32_t point);

String upper(std::string_view s);
String lower(std::string_view s);
String capitalize(std::string_view s);
String title(std::string_view s); ///< str.title: a letter after a non-letter starts a word
String swapcase(std::string_view s);

/// Byte offset of the first `needle` from `from` on, and of the last; npos where there is none. Linear in both.
size_t findText(std::string_view text, std::string_view needle, size_t from = 0);
size_t findLast(std::string_view text, std::string_view needle);

/// Strips characters of `set` (white space if null) from the left, right or both.
std::string_view strip(std::string_view s, const std::string_view *set, bool left, bool right);
/// str.splitlines.
Vector<std::string_view> splitLines(std::string_view s, bool keepEnds);
/// str.split(None) and str.split(separator); `limit` < 0: all.
Vector<std::string_view> split(std::string_view s, const std::string_view *separator, int64_t limit);
Vector<std::string_view> splitRight(std::string_view s, const std::string_view *separator, int64_t limit);
/// str.replace; `limit` < 0: all.
String replace(std::string_view s, std::string_view from, std::string_view to, int64_t limit);
/// `fill` so many times; none where `times` is negative.
String repeated(std::string_view fill, int64_t times);
/// HTML escapes of & < > ' " as markupsafe writes them.
String escapeHtml(std::string_view s);

} // namespace stepdown::jinja
