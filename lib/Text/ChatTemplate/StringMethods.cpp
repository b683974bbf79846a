// The methods of str; Methods.cpp has those of the other types.
#include "lib/Text/ChatTemplate/Members.h"
#include "lib/Text/ChatTemplate/Operations.h"
#include "lib/Text/ChatTemplate/Text.h"
#include <algorithm>

namespace stepdown::jinja {

namespace {

using Given = const Arguments &;

Value like(const Value &self, String text) { return Value::string(std::move(text), self.markup()); }

Value parts(const Value &self, const Vector<std::string_view> &pieces) {
  Vector<Value> items;
  items.reserve(pieces.size());
  for (std::string_view piece : pieces)
    items.push_back(like(self, String(piece)));
  return Value::list(std::move(items));
}

bool given(const Value &argument) { return !argument.missing() && !argument.is(Kind::None); }

template <bool Left, bool Right> Value stripMethod(Interpreter &, const Value &self, Given g) {
  const char *name = Left && Right ? "strip" : Left ? "lstrip" : "rstrip";
  Vector<Value> a = bindArguments(g, name, {"chars"}, 0);
  if (!given(a[0]))
    return like(self, String(strip(self.text(), nullptr, Left, Right)));
  if (!a[0].is(Kind::String))
    raise(String(name) + " arg must be None or str");
  std::string_view set = a[0].text();
  return like(self, String(strip(self.text(), &set, Left, Right)));
}

template <bool Right> Value splitMethod(Interpreter &, const Value &self, Given g) {
  Vector<Value> a = bindArguments(g, Right ? "rsplit" : "split", {"sep", "maxsplit"}, 0);
  int64_t limit = a[1].missing() ? -1 : integerArgument(a[1], "split");
  std::string_view separator;
  if (given(a[0])) {
    if (!a[0].is(Kind::String))
      raise(String("must be str or None, not ") + typeName(a[0]));
    separator = a[0].text();
  }
  const std::string_view *by = given(a[0]) ? &separator : nullptr;
  return parts(self, Right ? splitRight(self.text(), by, limit) : split(self.text(), by, limit));
}

Value splitlinesMethod(Interpreter &, const Value &self, Given g) {
  Vector<Value> a = bindArguments(g, "splitlines", {"keepends"}, 0);
  return parts(self, splitLines(self.text(), truth(a[0])));
}

template <bool Right> Value partitionMethod(Interpreter &, const Value &self, Given g) {
  Vector<Value> a = bindArguments(g, "partition", {"sep"}, 1);
  const String &text = self.text(), &separator = textArgument(a[0], "partition");
  if (separator.empty())
    raise("empty separator");
  size_t at = Right ? findLast(text, separator) : findText(text, separator);
  if (at == text.npos)
    return Right ? Value::tuple({like(self, ""), like(self, ""), self})
                 : Value::tuple({self, like(self, ""), like(self, "")});
  return Value::tuple({like(self, text.substr(0, at)), a[0], like(self, text.substr(at + separator.size()))});
}

/// The part of the text that start and end (code points, as in slices) leave, and how many code points precede it.
std::string_view window(const Value &self, const Value &start, const Value &end, int64_t &skipped, bool &empty) {
  const String &text = self.text();
  if (!given(start) && !given(end)) {
    skipped = 0;
    empty = false;
    return text;
  }
  int64_t length = *lengthOf(self);
  int64_t from = given(start) ? integerArgument(start, "find") : 0,
          to = given(end) ? integerArgument(end, "find") : length;
  from = from < 0 ? std::max<int64_t>(from + length, 0) : from;
  to = to < 0 ? std::max<int64_t>(to + length, 0) : std::min(to, length);
  empty = from > to || from > length;
  skipped = from;
  if (empty)
    return {};
  if (length == static_cast<int64_t>(text.size())) // ASCII
    return std::string_view(text).substr(from, to - from);
  size_t begin = offsetOf(text, from);
  std::string_view rest = std::string_view(text).substr(begin);
  return rest.substr(0, offsetOf(rest, to - from));
}

enum class Seek { Find, RFind, Index, RIndex };

template <Seek How> Value findMethod(Interpreter &, const Value &self, Given g) {
  Vector<Value> a = bindArguments(g, "find", {"sub", "start", "end"}, 1);
  const String &sub = textArgument(a[0], "find");
  int64_t skipped;
  bool empty;
  std::string_view text = window(self, a[1], a[2], skipped, empty);
  size_t at = empty ? text.npos : How == Seek::Find || How == Seek::Index ? findText(text, sub) : findLast(text, sub);
  if (at == text.npos) {
    if (How == Seek::Index || How == Seek::RIndex)
      raise("substring not found");
    return Value::integer(-1);
  }
  return Value::integer(skipped + static_cast<int64_t>(countPoints(text.substr(0, at))));
}

Value countMethod(Interpreter &, const Value &self, Given g) {
  Vector<Value> a = bindArguments(g, "count", {"sub", "start", "end"}, 1);
  const String &sub = textArgument(a[0], "count");
  int64_t skipped, count = 0;
  bool empty;
  std::string_view text = window(self, a[1], a[2], skipped, empty);
  if (empty)
    return Value::integer(0);
  if (sub.empty())
    return Value::integer(static_cast<int64_t>(countPoints(text)) + 1);
  for (size_t at = 0; (at = findText(text, sub, at)) != text.npos; at += sub.size())
    ++count;
  return Value::integer(count);
}

template <bool End> Value affixMethod(Interpreter &, const Value &self, Given g) {
  const char *name = End ? "endswith" : "startswith";
  Vector<Value> a = bindArguments(g, name, {"prefix", "start", "end"}, 1);
  int64_t skipped;
  bool empty;
  std::string_view text = window(self, a[1], a[2], skipped, empty);
  const Value *option = &a[0], *end = option + 1;
  if (a[0].is(Kind::Tuple)) {
    option = a[0].items().data();
    end = option + a[0].items().size();
  }
  for (; option != end; ++option) {
    if (!option->is(Kind::String))
      raise(String(name) + " first arg must be str or a tuple of str, not " + typeName(*option));
    const String &affix = option->text();
    Budget::spendBytes(affix.size());
    if (!empty && affix.size() <= text.size() &&
        text.compare(End ? text.size() - affix.size() : 0, affix.size(), affix) == 0)
      return Value::boolean(true);
  }
  return Value::boolean(false);
}

template <bool End> Value removeMethod(Interpreter &, const Value &self, Given g) {
  Vector<Value> a = bindArguments(g, End ? "removesuffix" : "removeprefix", {"prefix"}, 1);
  const String &text = self.text(), &affix = textArgument(a[0], "removeprefix");
  Budget::spendBytes(affix.size());
  bool there =
      affix.size() <= text.size() && text.compare(End ? text.size() - affix.size() : 0, affix.size(), affix) == 0;
  if (!there)
    return self;
  return like(self, End ? text.substr(0, text.size() - affix.size()) : text.substr(affix.size()));
}

Value replaceMethod(Interpreter &, const Value &self, Given g) {
  Vector<Value> a = bindArguments(g, "replace", {"old", "new", "count"}, 2);
  int64_t limit = a[2].missing() ? -1 : integerArgument(a[2], "replace");
  String to = textArgument(a[1], "replace");
  if (self.markup())
    to = escaped(a[1]);
  return like(self, replace(self.text(), textArgument(a[0], "replace"), to, limit));
}

Value joinMethod(Interpreter &, const Value &self, Given g) {
  Vector<Value> a = bindArguments(g, "join", {"iterable"}, 1);
  String out;
  size_t index = 0;
  for (const Value &item : itemsOf(a[0])) {
    if (!item.is(Kind::String))
      raise("sequence item " + decimal(index) + ": expected str instance, " + typeName(item) + " found");
    if (index++)
      out += self.text();
    if (self.markup())
      out += escaped(item);
    else
      out += item.text();
  }
  return like(self, std::move(out));
}

Value formatMethod(Interpreter &, const Value &self, Given g) { return like(self, formatBraces(self, g)); }

Value formatMapMethod(Interpreter &, const Value &self, Given g) {
  Vector<Value> a = bindArguments(g, "format_map", {"mapping"}, 1);
  Arguments named;
  if (a[0].is(Kind::Dict))
    for (const auto &[key, value] : a[0].dictionary().entries)
      if (key.is(Kind::String))
        named.named.emplace_back(key.text(), value);
  return like(self, formatBraces(self, named));
}

template <String (*Change)(std::string_view)> Value changeMethod(Interpreter &, const Value &self, Given g) {
  bindArguments(g, "str method", {}, 0);
  return like(self, Change(self.text()));
}

template <bool (*Is)(uint32_t)> Value everyMethod(Interpreter &, const Value &self, Given g) {
  bindArguments(g, "str method", {}, 0);
  const String &text = self.text();
  Meter meter(4);
  bool all = !text.empty() || Is == isPrintable;
  for (size_t i = 0, n; i < text.size() && all; i += n) {
    all = Is(decodeAt(text, i, n));
    meter.seen(n);
  }
  meter.settle();
  return Value::boolean(all);
}

bool isAlphanumeric(uint32_t p) { return isAlpha(p) || isNumeric(p); }
bool isAsciiPoint(uint32_t p) { return p < 0x80; }

Value isasciiMethod(Interpreter &i, const Value &self, Given g) {
  return self.text().empty() ? Value::boolean(true) : everyMethod<isAsciiPoint>(i, self, g);
}

/// isupper, islower: at least one cased character, and none of the other case.
template <bool Upper> Value caseMethod(Interpreter &, const Value &self, Given) {
  const String &text = self.text();
  Budget::spendLookups(text.size());
  bool any = false;
  for (size_t i = 0, n; i < text.size(); i += n) {
    uint32_t p = decodeAt(text, i, n);
    if (isTitle(p) || (Upper ? isLower(p) : isUpper(p)))
      return Value::boolean(false);
    any |= Upper ? isUpper(p) : isLower(p);
  }
  return Value::boolean(any);
}

Value istitleMethod(Interpreter &, const Value &self, Given) {
  const String &text = self.text();
  Budget::spendLookups(text.size());
  bool any = false, inWord = false;
  for (size_t i = 0, n; i < text.size(); i += n) {
    uint32_t p = decodeAt(text, i, n);
    bool starts = isUpper(p) || isTitle(p);
    if ((starts && inWord) || (isLower(p) && !inWord))
      return Value::boolean(false);
    inWord = starts || isLower(p);
    any |= inWord;
  }
  return Value::boolean(any);
}

Value isidentifierMethod(Interpreter &, const Value &self, Given) {
  const String &text = self.text();
  Budget::spendLookups(text.size());
  bool fine = !text.empty();
  for (size_t i = 0, n; i < text.size() && fine; i += n) {
    uint32_t p = decodeAt(text, i, n);
    fine = i == 0 ? p == '_' || isAlpha(p) : isWord(p);
  }
  return Value::boolean(fine);
}

/// ljust '<', rjust '>', center '^'; where an odd number of blanks goes is CPython's choice.
template <char How> Value justifyMethod(Interpreter &, const Value &self, Given g) {
  Vector<Value> a = bindArguments(g, "center", {"width", "fillchar"}, 1);
  int64_t width = std::min<int64_t>(integerArgument(a[0], "center"), int64_t(1) << 40);
  String fill = a[1].missing() ? " " : textArgument(a[1], "center");
  if (countPoints(fill) != 1)
    raise("The fill character must be exactly one character long");
  int64_t missing = std::max<int64_t>(width - *lengthOf(self), 0);
  int64_t left = How == '<' ? 0 : How == '>' ? missing : missing / 2 + (missing & width & 1);
  return like(self, repeated(fill, left) + self.text() + repeated(fill, missing - left));
}

Value zfillMethod(Interpreter &, const Value &self, Given g) {
  Vector<Value> a = bindArguments(g, "zfill", {"width"}, 1);
  int64_t missing = std::min<int64_t>(integerArgument(a[0], "zfill"), int64_t(1) << 40) - *lengthOf(self);
  const String &text = self.text();
  size_t sign = !text.empty() && (text[0] == '+' || text[0] == '-');
  return like(self, text.substr(0, sign) + repeated("0", missing) + text.substr(sign));
}

Value expandtabsMethod(Interpreter &, const Value &self, Given g) {
  Vector<Value> a = bindArguments(g, "expandtabs", {"tabsize"}, 0);
  int64_t size = a[0].missing() ? 8 : std::min<int64_t>(integerArgument(a[0], "expandtabs"), 1 << 16);
  Budget::spendLookups(self.text().size());
  String out;
  int64_t column = 0;
  for (char c : self.text()) {
    if (c == '\t') {
      int64_t n = size > 0 ? size - column % size : 0;
      out += repeated(" ", n);
      column += n;
      continue;
    }
    out += c;
    column = c == '\n' || c == '\r' ? 0 : column + ((static_cast<unsigned char>(c) & 0xC0) != 0x80);
  }
  return like(self, std::move(out));
}

const NamedMethod stringMethods[] = {
    {"strip", stripMethod<true, true>},
    {"lstrip", stripMethod<true, false>},
    {"rstrip", stripMethod<false, true>},
    {"split", splitMethod<false>},
    {"rsplit", splitMethod<true>},
    {"splitlines", splitlinesMethod},
    {"partition", partitionMethod<false>},
    {"rpartition", partitionMethod<true>},
    {"find", findMethod<Seek::Find>},
    {"rfind", findMethod<Seek::RFind>},
    {"index", findMethod<Seek::Index>},
    {"rindex", findMethod<Seek::RIndex>},
    {"count", countMethod},
    {"startswith", affixMethod<false>},
    {"endswith", affixMethod<true>},
    {"removeprefix", removeMethod<false>},
    {"removesuffix", removeMethod<true>},
    {"replace", replaceMethod},
    {"join", joinMethod},
    {"format", formatMethod},
    {"format_map", formatMapMethod},
    {"upper", changeMethod<upper>},
    {"lower", changeMethod<lower>},
    {"casefold", changeMethod<lower>},
    {"capitalize", changeMethod<capitalize>},
    {"title", changeMethod<title>},
    {"swapcase", changeMethod<swapcase>},
    {"isspace", everyMethod<isSpace>},
    {"isdigit", everyMethod<isDecimal>},
    {"isdecimal", everyMethod<isDecimal>},
    {"isnumeric", everyMethod<isNumeric>},
    {"isalpha", everyMethod<isAlpha>},
    {"isalnum", everyMethod<isAlphanumeric>},
    {"isprintable", everyMethod<isPrintable>},
    {"isascii", isasciiMethod},
    {"isupper", caseMethod<true>},
    {"islower", caseMethod<false>},
    {"istitle", istitleMethod},
    {"isidentifier", isidentifierMethod},
    {"ljust", justifyMethod<'<'>},
    {"rjust", justifyMethod<'>'>},
    {"center", justifyMethod<'^'>},
    {"zfill", zfillMethod},
    {"expandtabs", expandtabsMethod},
};

} // namespace

Native stringMethod(std::string_view name) { return find(stringMethods, name); }

Vector<std::string_view> stringMethodNames() { return namesOf(stringMethods); }

} // namespace stepdown::jinja
