// Stripping, splitting and replacing, by the rules of Python's str.
#include "lib/Text/ChatTemplate/Budget.h"
#include "lib/Text/ChatTemplate/Text.h"
#include <algorithm>

namespace stepdown::jinja {

namespace {

/// The characters that a call of strip takes away: white space, or those of a set, sorted.
class Strippable {
public:
  explicit Strippable(const std::string_view *set) : spaces(!set) {
    if (spaces)
      return;
    Budget::spend(1 + set->size()); // and sorted
    for (size_t i = 0, n; i < set->size(); i += n) {
      uint32_t point = decodeAt(*set, i, n);
      if (point < 128)
        ascii[point] = true;
      else
        others.push_back(point);
    }
    std::sort(others.begin(), others.end());
    others.erase(std::unique(others.begin(), others.end()), others.end());
  }
  bool operator()(uint32_t point) const {
    if (spaces)
      return isSpace(point);
    return point < 128 ? ascii[point] : std::binary_search(others.begin(), others.end(), point);
  }

private:
  bool spaces, ascii[128] = {};
  Vector<uint32_t> others;
};

/// Start of the code point that ends before `end`.
size_t stepBack(std::string_view s, size_t end) {
  size_t at = end - 1;
  while (at > 0 && end - at < 4 && (static_cast<unsigned char>(s[at]) & 0xC0) == 0x80)
    --at;
  size_t n;
  decodeAt(s, at, n);
  return at + n == end ? at : end - 1;
}

bool isLineEnd(uint32_t p) {
  return (p >= 0x0A && p <= 0x0D) || (p >= 0x1C && p <= 0x1E) || p == 0x85 || p == 0x2028 || p == 0x2029;
}

} // namespace

std::string_view strip(std::string_view s, const std::string_view *set, bool left, bool right) {
  const Strippable strippable(set);
  Meter meter(4);
  size_t begin = 0, end = s.size(), n;
  for (; left && begin < end && strippable(decodeAt(s, begin, n)); begin += n)
    meter.seen(n);
  while (right && begin < end) {
    size_t last = stepBack(s, end);
    if (!strippable(decodeAt(s, last, n)))
      break;
    meter.seen(end - last);
    end = last;
  }
  meter.settle();
  return s.substr(begin, end - begin);
}

Vector<std::string_view> splitLines(std::string_view s, bool keepEnds) {
  Budget::spendLookups(s.size());
  Vector<std::string_view> lines;
  size_t begin = 0;
  for (size_t i = 0, n; i < s.size(); i += n) {
    uint32_t p = decodeAt(s, i, n);
    if (!isLineEnd(p))
      continue;
    size_t end = i;
    if (p == '\r' && i + 1 < s.size() && s[i + 1] == '\n')
      n = 2;
    lines.push_back(s.substr(begin, (keepEnds ? end + n : end) - begin));
    begin = end + n;
  }
  if (begin < s.size())
    lines.push_back(s.substr(begin));
  return lines;
}

Vector<std::string_view> split(std::string_view s, const std::string_view *separator, int64_t limit) {
  Vector<std::string_view> parts;
  if (separator) {
    if (separator->empty())
      raise("empty separator");
    size_t begin = 0;
    while (limit < 0 || static_cast<int64_t>(parts.size()) < limit) {
      size_t at = findText(s, *separator, begin);
      if (at == s.npos)
        break;
      parts.push_back(s.substr(begin, at - begin));
      begin = at + separator->size();
    }
    parts.push_back(s.substr(begin));
    return parts;
  }
  Budget::spendLookups(s.size());
  for (size_t i = 0, n; i < s.size();) {
    if (isSpace(decodeAt(s, i, n))) {
      i += n;
      continue;
    }
    if (limit >= 0 && static_cast<int64_t>(parts.size()) == limit) {
      parts.push_back(strip(s.substr(i), nullptr, false, true));
      break;
    }
    size_t begin = i;
    while (i < s.size() && !isSpace(decodeAt(s, i, n)))
      i += n;
    parts.push_back(s.substr(begin, i - begin));
  }
  return parts;
}

Vector<std::string_view> splitRight(std::string_view s, const std::string_view *separator, int64_t limit) {
  if (limit < 0)
    return split(s, separator, limit);
  Vector<std::string_view> parts;
  if (separator) {
    if (separator->empty())
      raise("empty separator");
    size_t end = s.size();
    while (static_cast<int64_t>(parts.size()) < limit) {
      size_t at = findLast(s.substr(0, end), *separator);
      if (at == s.npos)
        break;
      parts.push_back(s.substr(at + separator->size(), end - at - separator->size()));
      end = at;
    }
    parts.push_back(s.substr(0, end));
  } else {
    Budget::spendLookups(s.size());
    size_t end = s.size(), n;
    while (end > 0) {
      size_t last = stepBack(s, end);
      if (isSpace(decodeAt(s, last, n))) {
        end = last;
        continue;
      }
      if (static_cast<int64_t>(parts.size()) == limit) {
        parts.push_back(strip(s.substr(0, end), nullptr, true, false));
        break;
      }
      size_t begin = last;
      while (begin > 0 && !isSpace(decodeAt(s, stepBack(s, begin), n)))
        begin = stepBack(s, begin);
      parts.push_back(s.substr(begin, end - begin));
      end = begin;
    }
  }
  std::reverse(parts.begin(), parts.end());
  return parts;
}

String replace(std::string_view s, std::string_view from, std::string_view to, int64_t limit) {
  String out;
  if (from.empty()) { // between all code points
    Budget::spendLookups(s.size());
    size_t i = 0;
    for (size_t n; limit != 0; i += n, --limit) {
      out += to;
      if (i >= s.size())
        break;
      decodeAt(s, i, n);
      out += s.substr(i, n);
    }
    return i < s.size() ? out += s.substr(i) : out;
  }
  size_t begin = 0;
  for (size_t at; limit != 0 && (at = findText(s, from, begin)) != s.npos; --limit) {
    out += s.substr(begin, at - begin);
    out += to;
    begin = at + from.size();
  }
  return out += s.substr(begin);
}

String repeated(std::string_view fill, int64_t times) {
  if (times <= 0 || fill.empty())
    return {};
  if (static_cast<uint64_t>(times) > SIZE_MAX / fill.size())
    Budget::require(SIZE_MAX);
  const size_t bytes = fill.size() * static_cast<size_t>(times);
  Budget::require(bytes);
  if (fill.size() == 1)
    return String(bytes, fill[0]);
  Budget::spendDecoding(bytes);
  String out;
  out.reserve(bytes);
  for (; times > 0; --times)
    out += fill;
  return out;
}

} // namespace stepdown::jinja
