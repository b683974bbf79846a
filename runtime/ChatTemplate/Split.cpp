// Stripping, splitting and replacing, by the rules of Python's str.
#include "runtime/ChatTemplate/Budget.h"
#include "runtime/ChatTemplate/Text.h"
#include <algorithm>

namespace stepdown::jinja {

namespace {

bool strippable(uint32_t point, const std::string_view *set) {
  if (!set)
    return isSpace(point);
  for (size_t i = 0, n; i < set->size(); i += n)
    if (decodeAt(*set, i, n) == point)
      return true;
  return false;
}

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
  Budget::spendBytes(set ? set->size() : 0);
  size_t begin = 0, end = s.size(), n;
  while (left && begin < end && strippable(decodeAt(s, begin, n), set))
    begin += n;
  while (right && begin < end) {
    size_t last = stepBack(s, end);
    if (!strippable(decodeAt(s, last, n), set))
      break;
    end = last;
  }
  return s.substr(begin, end - begin);
}

std::vector<std::string_view> splitLines(std::string_view s, bool keepEnds) {
  Budget::spendBytes(s.size() * 4);
  std::vector<std::string_view> lines;
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

std::vector<std::string_view> split(std::string_view s, const std::string_view *separator, int64_t limit) {
  Budget::spendBytes(s.size() * 4);
  std::vector<std::string_view> parts;
  if (separator) {
    if (separator->empty())
      raise("empty separator");
    size_t begin = 0;
    while (limit < 0 || static_cast<int64_t>(parts.size()) < limit) {
      size_t at = s.find(*separator, begin);
      if (at == s.npos)
        break;
      parts.push_back(s.substr(begin, at - begin));
      begin = at + separator->size();
    }
    parts.push_back(s.substr(begin));
    return parts;
  }
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

std::vector<std::string_view> splitRight(std::string_view s, const std::string_view *separator, int64_t limit) {
  if (limit < 0)
    return split(s, separator, limit);
  Budget::spendBytes(s.size() * 4);
  std::vector<std::string_view> parts;
  if (separator) {
    if (separator->empty())
      raise("empty separator");
    size_t end = s.size();
    while (static_cast<int64_t>(parts.size()) < limit) {
      size_t at = end < separator->size() ? s.npos : s.rfind(*separator, end - separator->size());
      if (at == s.npos)
        break;
      parts.push_back(s.substr(at + separator->size(), end - at - separator->size()));
      end = at;
    }
    parts.push_back(s.substr(0, end));
  } else {
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

std::string replace(std::string_view s, std::string_view from, std::string_view to, int64_t limit) {
  Budget::spendBytes(s.size() * 4);
  std::string out;
  auto room = [&](size_t more) {
    if (out.capacity() < out.size() + more)
      Budget::require((out.size() + more) * 2);
  };
  if (from.empty()) { // between all code points
    Budget::spend(s.size());
    size_t i = 0;
    for (size_t n; limit != 0; i += n, --limit) {
      room(to.size() + 4);
      out += to;
      if (i >= s.size())
        break;
      decodeAt(s, i, n);
      out += s.substr(i, n);
    }
    return i < s.size() ? out += s.substr(i) : out;
  }
  size_t begin = 0, matches = 0;
  for (size_t at; limit != 0 && (at = s.find(from, begin)) != s.npos; --limit) {
    Budget::spend(++matches & 1);
    room(at - begin + to.size());
    out += s.substr(begin, at - begin);
    out += to;
    begin = at + from.size();
  }
  return out += s.substr(begin);
}

} // namespace stepdown::jinja
