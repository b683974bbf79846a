// Code points, classes and case.
#include "lib/Text/ChatTemplate/Text.h"
#include "lib/Text/ChatTemplate/Budget.h"
#include <utf8proc.h>

namespace stepdown::jinja {

uint32_t decodeAt(std::string_view s, size_t at, size_t &bytes) {
  auto lead = static_cast<unsigned char>(s[at]);
  bytes = 1;
  if (lead < 0x80)
    return lead;
  size_t need = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  uint32_t invalid = 0xDC00 + lead;
  if (lead < 0xC2 || lead > 0xF4 || at + need > s.size())
    return invalid;
  uint32_t point = lead & (0x7F >> need);
  for (size_t i = 1; i < need; ++i) {
    auto c = static_cast<unsigned char>(s[at + i]);
    if ((c & 0xC0) != 0x80)
      return invalid;
    point = point << 6 | (c & 0x3F);
  }
  if ((need == 3 && (point < 0x800 || (point >= 0xD800 && point < 0xE000))) ||
      (need == 4 && (point < 0x10000 || point > 0x10FFFF)))
    return invalid;
  bytes = need;
  return point;
}

void appendPoint(String &s, uint32_t p) {
  if (p < 0x80) {
    s += static_cast<char>(p);
  } else if (p >= 0xDC80 && p <= 0xDCFF) {
    s += static_cast<char>(p - 0xDC00); // an invalid byte, on its way through
  } else if (p < 0x800) {
    s += static_cast<char>(0xC0 | p >> 6);
    s += static_cast<char>(0x80 | (p & 0x3F));
  } else if (p < 0x10000) {
    s += static_cast<char>(0xE0 | p >> 12);
    s += static_cast<char>(0x80 | (p >> 6 & 0x3F));
    s += static_cast<char>(0x80 | (p & 0x3F));
  } else {
    s += static_cast<char>(0xF0 | p >> 18);
    s += static_cast<char>(0x80 | (p >> 12 & 0x3F));
    s += static_cast<char>(0x80 | (p >> 6 & 0x3F));
    s += static_cast<char>(0x80 | (p & 0x3F));
  }
}

size_t countPoints(std::string_view s) {
  Budget::spendDecoding(s.size());
  size_t count = 0;
  for (size_t i = 0, n; i < s.size(); i += n, ++count)
    decodeAt(s, i, n);
  return count;
}

size_t offsetOf(std::string_view s, size_t index) {
  Meter meter(16);
  size_t at = 0;
  for (size_t n; at < s.size() && index > 0; at += n, --index) {
    decodeAt(s, at, n);
    meter.seen(n);
  }
  meter.settle();
  return at;
}

namespace {

utf8proc_category_t categoryOf(uint32_t p) { return utf8proc_category(static_cast<utf8proc_int32_t>(p)); }

/// Full case mappings that are longer than one code point, from SpecialCasing.txt (unconditional ones).
struct LongCase {
  uint32_t from;
  const char *upper, *title;
};
const LongCase longCases[] = {
    {0x00DF, "SS", "Ss"},
    {0x0149, "\u02BCN", "\u02BCN"},
    {0x01F0, "J\u030C", "J\u030C"},
    {0x0390, "\u0399\u0308\u0301", "\u0399\u0308\u0301"},
    {0x03B0, "\u03A5\u0308\u0301", "\u03A5\u0308\u0301"},
    {0x0587, "\u0535\u0552", "\u0535\u0582"},
    {0x1E96, "H\u0331", "H\u0331"},
    {0x1E97, "T\u0308", "T\u0308"},
    {0x1E98, "W\u030A", "W\u030A"},
    {0x1E99, "Y\u030A", "Y\u030A"},
    {0x1E9A, "A\u02BE", "A\u02BE"},
    {0xFB00, "FF", "Ff"},
    {0xFB01, "FI", "Fi"},
    {0xFB02, "FL", "Fl"},
    {0xFB03, "FFI", "Ffi"},
    {0xFB04, "FFL", "Ffl"},
    {0xFB05, "ST", "St"},
    {0xFB06, "ST", "St"},
    {0xFB13, "\u0544\u0546", "\u0544\u0576"},
    {0xFB14, "\u0544\u0535", "\u0544\u0565"},
    {0xFB15, "\u0544\u053B", "\u0544\u056B"},
    {0xFB16, "\u054E\u0546", "\u054E\u0576"},
    {0xFB17, "\u0544\u053D", "\u0544\u056D"},
};

const LongCase *longCase(uint32_t p) {
  if (p < 0xDF)
    return nullptr;
  for (const LongCase &c : longCases)
    if (c.from == p)
      return &c;
  return nullptr;
}

bool isSurrogate(uint32_t p) { return p >= 0xD800 && p < 0xE000; }

void appendUpper(String &out, uint32_t p) {
  if (const LongCase *c = longCase(p))
    out += c->upper;
  else
    appendPoint(out, isSurrogate(p) ? p : utf8proc_toupper(p));
}

void appendTitle(String &out, uint32_t p) {
  if (const LongCase *c = longCase(p))
    out += c->title;
  else
    appendPoint(out, isSurrogate(p) ? p : utf8proc_totitle(p));
}

bool caseIgnorable(uint32_t p) {
  auto c = categoryOf(p);
  return c == UTF8PROC_CATEGORY_MN || c == UTF8PROC_CATEGORY_ME || c == UTF8PROC_CATEGORY_CF ||
         c == UTF8PROC_CATEGORY_LM || c == UTF8PROC_CATEGORY_SK || p == '\'' || p == '.' || p == ':' || p == 0xB7 ||
         p == 0x2018 || p == 0x2019;
}

/// A capital sigma becomes a final one after a cased letter and before none.
void appendLower(String &out, std::string_view s, size_t at, uint32_t p, size_t bytes) {
  if (p == 0x0130) {
    out += "i\u0307";
    return;
  }
  if (p != 0x03A3) {
    appendPoint(out, isSurrogate(p) ? p : utf8proc_tolower(p));
    return;
  }
  bool before = false, after = false;
  for (size_t i = at, n; i > 0 && !before;) {
    --i;
    while (i > 0 && (static_cast<unsigned char>(s[i]) & 0xC0) == 0x80)
      --i;
    uint32_t q = decodeAt(s, i, n);
    if (caseIgnorable(q))
      continue;
    before = isCased(q);
    break;
  }
  for (size_t i = at + bytes, n; i < s.size(); i += n) {
    uint32_t q = decodeAt(s, i, n);
    if (caseIgnorable(q))
      continue;
    after = isCased(q);
    break;
  }
  appendPoint(out, before && !after ? 0x03C2 : 0x03C3);
}

} // namespace

bool isSpace(uint32_t p) {
  return (p >= 0x09 && p <= 0x0D) || (p >= 0x1C && p <= 0x20) || p == 0x85 || p == 0xA0 || p == 0x1680 ||
         (p >= 0x2000 && p <= 0x200A) || p == 0x2028 || p == 0x2029 || p == 0x202F || p == 0x205F || p == 0x3000;
}

bool isDecimal(uint32_t p) { return p < 0x80 ? p >= '0' && p <= '9' : categoryOf(p) == UTF8PROC_CATEGORY_ND; }

bool isAlpha(uint32_t p) {
  auto c = categoryOf(p);
  return c >= UTF8PROC_CATEGORY_LU && c <= UTF8PROC_CATEGORY_LO;
}

bool isNumeric(uint32_t p) {
  auto c = categoryOf(p);
  return c >= UTF8PROC_CATEGORY_ND && c <= UTF8PROC_CATEGORY_NO;
}

bool isPrintable(uint32_t p) {
  if (p < 0x80)
    return p >= 0x20 && p < 0x7F;
  auto c = categoryOf(p);
  return c != UTF8PROC_CATEGORY_CN && c < UTF8PROC_CATEGORY_ZS;
}

bool isWord(uint32_t p) { return p == '_' || isAlpha(p) || isNumeric(p); }
bool isUpper(uint32_t p) { return categoryOf(p) == UTF8PROC_CATEGORY_LU; }
bool isLower(uint32_t p) {
  return categoryOf(p) == UTF8PROC_CATEGORY_LL || p == 0xAA || p == 0xBA || (p >= 0x2B0 && p <= 0x2B8);
}
bool isTitle(uint32_t p) { return categoryOf(p) == UTF8PROC_CATEGORY_LT; }
bool isCased(uint32_t p) { return isUpper(p) || isLower(p) || isTitle(p); }

String upper(std::string_view s) {
  Budget::spendLookups(s.size());
  String out;
  for (size_t i = 0, n; i < s.size(); i += n)
    appendUpper(out, decodeAt(s, i, n));
  return out;
}

String lower(std::string_view s) {
  Budget::spendLookups(s.size());
  String out;
  for (size_t i = 0, n; i < s.size(); i += n) {
    uint32_t p = decodeAt(s, i, n);
    appendLower(out, s, i, p, n);
  }
  return out;
}

String capitalize(std::string_view s) {
  if (s.empty())
    return {};
  Budget::spendLookups(s.size());
  size_t first;
  String out;
  appendTitle(out, decodeAt(s, 0, first));
  for (size_t i = first, n; i < s.size(); i += n) {
    uint32_t p = decodeAt(s, i, n);
    appendLower(out, s, i, p, n);
  }
  return out;
}

String title(std::string_view s) {
  Budget::spendLookups(s.size());
  String out;
  bool inWord = false;
  for (size_t i = 0, n; i < s.size(); i += n) {
    uint32_t p = decodeAt(s, i, n);
    if (inWord)
      appendLower(out, s, i, p, n);
    else
      appendTitle(out, p);
    inWord = isCased(p);
  }
  return out;
}

String swapcase(std::string_view s) {
  Budget::spendLookups(s.size());
  String out;
  for (size_t i = 0, n; i < s.size(); i += n) {
    uint32_t p = decodeAt(s, i, n);
    if (isUpper(p))
      appendLower(out, s, i, p, n);
    else if (isLower(p))
      appendUpper(out, p);
    else
      appendPoint(out, p);
  }
  return out;
}

String escapeHtml(std::string_view s) {
  Budget::spendDecoding(s.size());
  String out;
  for (char c : s)
    switch (c) {
    case '&':
      out += "&amp;";
      break;
    case '<':
      out += "&lt;";
      break;
    case '>':
      out += "&gt;";
      break;
    case '\'':
      out += "&#39;";
      break;
    case '"':
      out += "&#34;";
      break;
    default:
      out += c;
    }
  return out;
}

} // namespace stepdown::jinja
