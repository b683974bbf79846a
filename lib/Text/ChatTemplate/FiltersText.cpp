// Filters on text.
#include "lib/Text/ChatTemplate/Filters.h"
#include "lib/Text/ChatTemplate/Text.h"
#include <algorithm>

namespace stepdown::jinja::filters {

namespace {

/// soft_str: text as it is (markup stays markup), anything else by str().
Value soft(const Value &input) { return input.is(Kind::String) ? input : Value::string(toText(input)); }

Value like(const Value &model, String text) { return Value::string(std::move(text), model.markup()); }

Value method(Interpreter &interpreter, const char *name, const Value &input, const Arguments &given) {
  Value self = soft(input);
  return stringMethod(name)(interpreter, self, given);
}

/// urllib.parse.quote: everything but letters, digits and _.-~ (and / outside a query) as %XX.
String quoteUrl(const String &text, bool query) {
  Budget::spendDecoding(text.size());
  String out;
  for (char c : text) {
    bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
                 c == '-' || c == '~' || (c == '/' && !query);
    if (plain || (query && c == ' ')) {
      out += plain ? c : '+';
      continue;
    }
    out += '%';
    out += "0123456789ABCDEF"[static_cast<unsigned char>(c) >> 4];
    out += "0123456789ABCDEF"[c & 15];
  }
  return out;
}

} // namespace

Value capitalized(Interpreter &i, const Value &input, const Arguments &given) {
  return method(i, "capitalize", input, given);
}
Value lowered(Interpreter &i, const Value &input, const Arguments &given) { return method(i, "lower", input, given); }
Value uppered(Interpreter &i, const Value &input, const Arguments &given) { return method(i, "upper", input, given); }
Value trimmed(Interpreter &i, const Value &input, const Arguments &given) { return method(i, "strip", input, given); }

Value centered(Interpreter &i, const Value &input, const Arguments &given) {
  Vector<Value> a = bindArguments(given, "center", {"width"}, 0);
  Arguments width;
  width.positional.push_back(a[0].missing() ? Value::integer(80) : a[0]);
  return method(i, "center", input, width);
}

Value escape(Interpreter &, const Value &input, const Arguments &) { return Value::string(escaped(input), true); }

Value forceEscape(Interpreter &, const Value &input, const Arguments &) {
  return Value::string(escapeHtml(toText(input)), true);
}

Value safe(Interpreter &, const Value &input, const Arguments &) { return Value::string(toText(input), true); }

Value formatted(Interpreter &, const Value &input, const Arguments &given) {
  if (!given.positional.empty() && !given.named.empty())
    raise("can't handle positional and keyword arguments at the same time");
  if (given.named.empty())
    return formatPercent(soft(input), Value::tuple(given.positional));
  Value dict = Value::dict();
  for (const auto &[key, value] : given.named)
    dict.dictionary().set(Value::string(key), value);
  return formatPercent(soft(input), dict);
}

Value replaced(Interpreter &, const Value &input, const Arguments &given) {
  Vector<Value> a = bindArguments(given, "replace", {"old", "new", "count"}, 2);
  int64_t limit = a[2].missing() || a[2].is(Kind::None) ? -1 : integerArgument(a[2], "replace");
  return Value::string(replace(toText(input), toText(a[0]), toText(a[1]), limit));
}

Value titled(Interpreter &, const Value &input, const Arguments &) {
  Value self = soft(input);
  const String &text = self.text();
  Budget::spendLookups(text.size());
  auto separates = [](uint32_t p) { return p == '-' || p == '(' || p == '{' || p == '[' || p == '<' || isSpace(p); };
  String out;
  for (size_t i = 0, n; i < text.size();) {
    size_t begin = i;
    bool separator = separates(decodeAt(text, i, n));
    while (i < text.size() && separates(decodeAt(text, i, n)) == separator)
      i += n;
    std::string_view word = std::string_view(text).substr(begin, i - begin);
    decodeAt(word, 0, n);
    if (separator)
      out += word;
    else
      (out += upper(word.substr(0, n))) += lower(word.substr(n));
  }
  return like(self, std::move(out));
}

Value indented(Interpreter &, const Value &input, const Arguments &given) {
  Vector<Value> a = bindArguments(given, "indent", {"width", "first", "blank"}, 0);
  if (!input.is(Kind::String)) {
    if (input.is(Kind::Undefined))
      raiseUndefined(input);
    raise(String("unsupported operand type(s) for +=: '") + typeName(input) + "' and 'str'");
  }
  String indention(4, ' ');
  if (a[0].is(Kind::String))
    indention = a[0].text();
  else if (!a[0].missing())
    indention = String(std::min<int64_t>(std::max<int64_t>(integerArgument(a[0], "indent"), 0), 1 << 20), ' ');
  bool first = truth(a[1]), blank = truth(a[2]);
  String text = input.text() + "\n", out = first ? indention : "";
  bool start = true;
  for (std::string_view line : splitLines(text, false)) {
    if (!start)
      out += '\n';
    if (!start && (blank || !line.empty()))
      out += indention;
    start = false;
    out += line;
  }
  return like(input, std::move(out));
}

Value truncated(Interpreter &, const Value &input, const Arguments &given) {
  Vector<Value> a = bindArguments(given, "truncate", {"length", "killwords", "end", "leeway"}, 0);
  int64_t length = a[0].missing() ? 255 : integerArgument(a[0], "truncate");
  int64_t leeway = a[3].missing() || a[3].is(Kind::None) ? 5 : integerArgument(a[3], "truncate");
  String end = a[2].missing() ? "..." : textArgument(a[2], "truncate");
  int64_t endLength = static_cast<int64_t>(countPoints(end));
  if (length < endLength)
    raise("expected length >= " + decimal(endLength) + ", got " + decimal(length));
  if (leeway < 0)
    raise("expected leeway >= 0, got " + decimal(leeway));
  if (requireLength(input) - leeway <= length)
    return input;
  const String &text = textArgument(input, "truncate");
  String head = text.substr(0, offsetOf(text, length - endLength));
  if (!truth(a[1]))
    head = head.substr(0, head.rfind(' '));
  return like(input, head + end);
}

Value wordcount(Interpreter &, const Value &input, const Arguments &) {
  String text = toText(input);
  int64_t words = 0;
  bool inWord = false;
  Budget::spendLookups(text.size());
  for (size_t i = 0, n; i < text.size(); i += n) {
    bool word = isWord(decodeAt(text, i, n));
    words += word && !inWord;
    inWord = word;
  }
  return Value::integer(words);
}

namespace {

/// One paragraph of wordwrap: lines are filled with words, and the widths of what stands in a line are kept, not
/// counted anew. Widths are in code points.
class Paragraph {
public:
  Paragraph(String &out, std::string_view newline, int64_t width, bool breaks)
      : out(out), newline(newline), width(width), breaks(breaks) {}

  void fill(std::string_view text) {
    for (size_t i = 0, n; i < text.size();) {
      size_t begin = i;
      int64_t points = 0;
      bool space = isSpace(decodeAt(text, i, n));
      for (; i < text.size() && isSpace(decodeAt(text, i, n)) == space; i += n)
        ++points;
      std::string_view chunk = text.substr(begin, i - begin);
      if (!space) {
        word(chunk, points);
      } else {
        bool kept = !any || !line.empty();
        blanks = kept ? chunk : std::string_view();
        blankPoints = kept ? points : 0;
      }
    }
    if (!line.empty())
      finishLine();
  }

private:
  void word(std::string_view chunk, int64_t points) {
    if (linePoints + blankPoints + points > width && !line.empty()) {
      finishLine();
      blanks = {};
      blankPoints = 0;
    }
    line += blanks;
    linePoints += blankPoints;
    blanks = {};
    blankPoints = 0;
    while (breaks && linePoints + points > width) {
      int64_t room = width - std::min(linePoints, width - 1);
      size_t cut = offsetOf(chunk, room);
      line += chunk.substr(0, cut);
      finishLine();
      chunk = chunk.substr(cut);
      points -= std::min(room, points);
    }
    line += chunk;
    linePoints += points;
  }

  void finishLine() {
    if (any)
      out += newline;
    any = true;
    out += line;
    line.clear();
    linePoints = 0;
  }

  String &out;
  std::string_view newline;
  int64_t width;
  bool breaks, any = false; ///< any: lines were finished
  String line;
  std::string_view blanks; ///< between the line and the next word
  int64_t linePoints = 0, blankPoints = 0;
};

} // namespace

/// Each line filled with words up to a width; words longer than it are broken. (Hyphens are not break points.)
Value wordwrap(Interpreter &, const Value &input, const Arguments &given) {
  Vector<Value> a =
      bindArguments(given, "wordwrap", {"width", "break_long_words", "wrapstring", "break_on_hyphens"}, 0);
  int64_t width = a[0].missing() ? 79 : integerArgument(a[0], "wordwrap");
  if (width <= 0)
    raise("invalid width " + decimal(width) + " (must be > 0)");
  width = std::min(width, int64_t(1) << 40);
  bool breaks = a[1].missing() || truth(a[1]);
  String newline = a[2].missing() || a[2].is(Kind::None) ? "\n" : textArgument(a[2], "wordwrap");
  const String &text = textArgument(input, "wordwrap");
  Budget::spendLookups(text.size() * 2);
  String out;
  bool first = true;
  for (std::string_view paragraph : splitLines(text, false)) {
    if (!first)
      out += newline;
    first = false;
    Paragraph(out, newline, width, breaks).fill(paragraph);
  }
  return Value::string(std::move(out));
}

/// Tags and comments away, entities back, white space to single blanks.
Value striptags(Interpreter &, const Value &input, const Arguments &) {
  String text = toText(input), bare;
  Budget::spendDecoding(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '<') {
      bare += text[i];
      continue;
    }
    bool comment = text.compare(i, 4, "<!--") == 0;
    size_t end = comment ? findText(text, "-->", i) : text.find('>', i);
    if (end == text.npos) {
      bare += text.substr(i);
      break;
    }
    i = end + (comment ? 2 : 0);
  }
  String out;
  std::string_view all = bare;
  for (std::string_view word : split(all, nullptr, -1)) {
    if (!out.empty())
      out += ' ';
    out += word;
  }
  static const std::pair<const char *, const char *> entities[] = {{"&lt;", "<"},   {"&gt;", ">"},    {"&#39;", "'"},
                                                                   {"&#34;", "\""}, {"&quot;", "\""}, {"&amp;", "&"}};
  for (auto [entity, plain] : entities)
    out = replace(out, entity, plain, -1);
  return Value::string(std::move(out));
}

Value urlencode(Interpreter &, const Value &input, const Arguments &) {
  if (input.is(Kind::String) || !isIterable(input))
    return Value::string(quoteUrl(toText(input), false));
  String out;
  auto pair = [&](const Value &key, const Value &value) {
    if (!out.empty())
      out += '&';
    ((out += quoteUrl(toText(key), true)) += '=') += quoteUrl(toText(value), true);
  };
  if (input.is(Kind::Dict)) {
    for (const auto &[key, value] : input.dictionary().entries)
      pair(key, value);
    return Value::string(std::move(out));
  }
  for (const Value &item : itemsOf(input)) {
    Vector<Value> parts = itemsOf(item);
    if (parts.size() != 2)
      raise("not enough values to unpack (expected 2, got " + decimal(parts.size()) + ")");
    pair(parts[0], parts[1]);
  }
  return Value::string(std::move(out));
}

Value xmlattr(Interpreter &, const Value &input, const Arguments &given) {
  Vector<Value> a = bindArguments(given, "xmlattr", {"autospace"}, 0);
  if (!input.is(Kind::Dict))
    raise(String("'") + typeName(input) + "' object has no attribute 'items'");
  String out;
  for (const auto &[key, value] : input.dictionary().entries) {
    if (value.is(Kind::None) || value.is(Kind::Undefined))
      continue;
    String name = toText(key);
    Budget::spendLookups(name.size());
    if (name.find_first_of(" \t\n\r\f\v/>=") != name.npos)
      raise("Invalid character in attribute name: " + toRepr(key));
    if (!out.empty())
      out += ' ';
    (((out += escaped(key)) += "=\"") += escaped(value)) += '"';
  }
  bool space = (a[0].missing() || truth(a[0])) && !out.empty();
  return Value::string(space ? " " + out : out);
}

} // namespace stepdown::jinja::filters
