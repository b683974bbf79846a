// Where a text stands in another. std::string_view::find takes needle x haystack in the worst case, which is what a
// hostile template gives it; memmem of glibc and of musl is linear (two-way, and for needles of up to 256 bytes a
// filter with a bound). The price is that of the worst texts measured, 7 ns a byte, not of ordinary ones.
#include "lib/Text/ChatTemplate/Budget.h"
#include "lib/Text/ChatTemplate/Text.h"
#include <algorithm>
#include <cstring>

namespace stepdown::jinja {

namespace {
/// Bytes a step pays for; one character is sought with vectors.
size_t bytesPerStep(std::string_view needle) { return needle.size() == 1 ? 64 : 8; }
} // namespace

size_t findText(std::string_view text, std::string_view needle, size_t from) {
  if (from > text.size() || needle.size() > text.size() - from)
    return text.npos;
  if (needle.empty())
    return from;
  const size_t rate = bytesPerStep(needle);
  Budget::spend(1 + needle.size() / rate);
  // In pieces, each paid for behind it: a match close by costs little, and none far beyond the budget is looked for.
  const size_t piece = std::max<size_t>(16384, 4 * needle.size());
  for (size_t begin = from; text.size() - begin >= needle.size(); begin += piece) {
    std::string_view window = text.substr(begin, piece + needle.size() - 1);
    const void *found = memmem(window.data(), window.size(), needle.data(), needle.size());
    size_t at = found ? static_cast<const char *>(found) - window.data() : window.size();
    Budget::spend(at / rate);
    if (found)
      return begin + at;
    if (window.size() < piece)
      break;
  }
  return text.npos;
}

size_t findLast(std::string_view text, std::string_view needle) {
  if (needle.size() > text.size())
    return text.npos;
  if (needle.empty())
    return text.size();
  const size_t rate = bytesPerStep(needle);
  Budget::spend(1 + needle.size() / rate);
  // There is no linear memmem from the back, so the end is read backwards, in pieces that grow.
  const String wanted(needle.rbegin(), needle.rend());
  for (size_t end = text.size(), piece = std::max<size_t>(256, needle.size()); end >= needle.size(); piece *= 2) {
    size_t begin = end > piece ? end - piece : 0;
    std::string_view window = text.substr(begin, std::min(end - begin + needle.size() - 1, text.size() - begin));
    Budget::spend(window.size() / rate);
    const String turned(window.rbegin(), window.rend());
    if (const void *found = memmem(turned.data(), turned.size(), wanted.data(), wanted.size()))
      return begin + window.size() - (static_cast<const char *>(found) - turned.data()) - needle.size();
    end = begin;
  }
  return text.npos;
}

} // namespace stepdown::jinja
