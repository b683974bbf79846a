// Filters on text.
#include "runtime/ChatTemplate/Filters.h"
#include "runtime/ChatTemplate/Text.h"
#include <algorithm>
#include <cstdio>

namespace stepdown::jinja::filters {

namespace {

/// soft_str: text as it is (markup stays markup), anything else by str().
Value soft(const Value &input) { return input.is(Kind::String) ? input : Value::string(toText(input)); }

Value like(const Value &model, std::string text) { return Value::string(std::move(text), model.markup()); }

Value method(Interpreter &interpreter, const char *name, const Value &input, const Arguments &given) {
  Value self = soft(input);
  return stringMethod(name)(interpreter, self, given);
}

/// urllib.parse.quote: everything but letters, digits and _.-~ (and / outside a query) as %XX.
std::string quoteUrl(const std::string &text, bool query) {
  std::string out;
  char buffer[4];
  for (char c : text) {
    bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
                 c == '-' || c == '~' || (c == '/' && !query);
    std::snprintf(buffer, sizeof buffer, "%%%02X", static_cast<unsigned char>(c));
    out += plain ? std::string(1, c) : query && c == ' ' ? "+" : buffer;
  }
  Budget::spendBytes(out.size());
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
  std::vector<Value> a = bindArguments(given, "center", {"width"}, 0);
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
  std::vector<Value> a = bindArguments(given, "replace", {"old", "new", "count"}, 2);
  int64_t limit = a[2].missing() || a[2].is(Kind::None) ? -1 : integerArgument(a[2], "replace");
  return Value::string(replace(toText(input), toText(a[0]), toText(a[1]), limit));
}

Value titled(Interpreter &, const Value &input, const Arguments &) {
  Value self = soft(input);
  const std::string &text = self.text();
  auto separates = [](uint32_t p) { return p == '-' || p == '(' || p == '{' || p == '[' || p == '<' || isSpace(p); };
  std::string out;
  for (size_t i = 0, n; i < text.size();) {
    size_t begin = i;
    bool separator = separates(decodeAt(text, i, n));
    while (i < text.size() && separates(decodeAt(text, i, n)) == separator)
      i += n;
    std::string word = text.substr(begin, i - begin);
    decodeAt(word, 0, n);
    out += separator ? word : upper(word.substr(0, n)) + lower(word.substr(n));
  }
  return like(self, std::move(out));
}

Value indented(Interpreter &, const Value &input, const Arguments &given) {
  std::vector<Value> a = bindArguments(given, "indent", {"width", "first", "blank"}, 0);
  if (!input.is(Kind::String)) {
    if (input.is(Kind::Undefined))
      raiseUndefined(input);
    raise(std::string("unsupported operand type(s) for +=: '") + typeName(input) + "' and 'str'");
  }
  std::string indention(4, ' ');
  if (a[0].is(Kind::String))
    indention = a[0].text();
  else if (!a[0].missing())
    indention = std::string(std::min<int64_t>(std::max<int64_t>(integerArgument(a[0], "indent"), 0), 1 << 20), ' ');
  bool first = truth(a[1]), blank = truth(a[2]);
  std::string text = input.text() + "\n", out = first ? indention : "";
  bool start = true;
  for (std::string_view line : splitLines(text, false)) {
    Budget::require(out.size() * 2 + indention.size());
    if (!start)
      out += "\n" + (blank || !line.empty() ? indention : "");
    start = false;
    out += line;
  }
  Budget::spendBytes(out.size());
  return like(input, std::move(out));
}

Value truncated(Interpreter &, const Value &input, const Arguments &given) {
  std::vector<Value> a = bindArguments(given, "truncate", {"length", "killwords", "end", "leeway"}, 0);
  int64_t length = a[0].missing() ? 255 : integerArgument(a[0], "truncate");
  int64_t leeway = a[3].missing() || a[3].is(Kind::None) ? 5 : integerArgument(a[3], "truncate");
  std::string end = a[2].missing() ? "..." : textArgument(a[2], "truncate");
  int64_t endLength = static_cast<int64_t>(countPoints(end));
  if (length < endLength)
    raise("expected length >= " + std::to_string(endLength) + ", got " + std::to_string(length));
  if (leeway < 0)
    raise("expected leeway >= 0, got " + std::to_string(leeway));
  if (requireLength(input) - leeway <= length)
    return input;
  const std::string &text = textArgument(input, "truncate");
  std::string head = text.substr(0, offsetOf(text, length - endLength));
  if (!truth(a[1]))
    head = head.substr(0, head.rfind(' '));
  return like(input, head + end);
}

Value wordcount(Interpreter &, const Value &input, const Arguments &) {
  std::string text = toText(input);
  int64_t words = 0;
  bool inWord = false;
  Budget::spendBytes(text.size() * 4);
  for (size_t i = 0, n; i < text.size(); i += n) {
    bool word = isWord(decodeAt(text, i, n));
    words += word && !inWord;
    inWord = word;
  }
  return Value::integer(words);
}

/// Each line filled with words up to a width; words longer than it are broken. (Hyphens are not break points.)
Value wordwrap(Interpreter &, const Value &input, const Arguments &given) {
  std::vector<Value> a =
      bindArguments(given, "wordwrap", {"width", "break_long_words", "wrapstring", "break_on_hyphens"}, 0);
  int64_t width = a[0].missing() ? 79 : integerArgument(a[0], "wordwrap");
  if (width <= 0)
    raise("invalid width " + std::to_string(width) + " (must be > 0)");
  bool breaks = a[1].missing() || truth(a[1]);
  std::string newline = a[2].missing() || a[2].is(Kind::None) ? "\n" : textArgument(a[2], "wordwrap");
  const std::string &text = textArgument(input, "wordwrap");
  std::string out;
  bool firstLine = true;
  for (std::string_view paragraph : splitLines(text, false)) {
    std::string line, blanks;
    std::vector<std::string> lines;
    for (size_t i = 0, n; i < paragraph.size();) {
      size_t begin = i;
      bool space = isSpace(decodeAt(paragraph, i, n));
      while (i < paragraph.size() && isSpace(decodeAt(paragraph, i, n)) == space)
        i += n;
      std::string chunk(paragraph.substr(begin, i - begin));
      if (space) {
        blanks = lines.empty() || !line.empty() ? chunk : "";
        continue;
      }
      auto fits = [&](const std::string &more) {
        return static_cast<int64_t>(countPoints(line) + countPoints(more)) <= width;
      };
      if (!fits(blanks + chunk) && !line.empty()) {
        lines.push_back(line);
        line.clear();
        blanks.clear();
      }
      line += blanks;
      blanks.clear();
      while (breaks && !fits(chunk)) {
        size_t room = width - std::min<int64_t>(static_cast<int64_t>(countPoints(line)), width - 1);
        size_t cut = offsetOf(chunk, room);
        lines.push_back(line + chunk.substr(0, cut));
        chunk = chunk.substr(cut);
        line.clear();
      }
      line += chunk;
    }
    if (!line.empty())
      lines.push_back(line);
    if (!firstLine)
      out += newline;
    firstLine = false;
    for (size_t i = 0; i < lines.size(); ++i)
      out += (i ? newline : "") + lines[i];
    Budget::require(out.size() * 2);
  }
  return Value::string(std::move(out));
}

/// Tags and comments away, entities back, white space to single blanks.
Value striptags(Interpreter &, const Value &input, const Arguments &) {
  std::string text = toText(input), bare;
  Budget::spendBytes(text.size() * 4);
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '<') {
      bare += text[i];
      continue;
    }
    bool comment = text.compare(i, 4, "<!--") == 0;
    size_t end = comment ? text.find("-->", i) : text.find('>', i);
    if (end == text.npos) {
      bare += text.substr(i);
      break;
    }
    i = end + (comment ? 2 : 0);
  }
  std::string out;
  std::string_view all = bare;
  for (std::string_view word : split(all, nullptr, -1))
    out += (out.empty() ? "" : " ") + std::string(word);
  static const std::pair<const char *, const char *> entities[] = {{"&lt;", "<"},   {"&gt;", ">"},    {"&#39;", "'"},
                                                                   {"&#34;", "\""}, {"&quot;", "\""}, {"&amp;", "&"}};
  for (auto [entity, plain] : entities)
    out = replace(out, entity, plain, -1);
  return Value::string(std::move(out));
}

Value urlencode(Interpreter &, const Value &input, const Arguments &) {
  if (input.is(Kind::String) || !isIterable(input))
    return Value::string(quoteUrl(toText(input), false));
  std::string out;
  auto pair = [&](const Value &key, const Value &value) {
    out += (out.empty() ? "" : "&") + quoteUrl(toText(key), true) + "=" + quoteUrl(toText(value), true);
  };
  if (input.is(Kind::Dict)) {
    for (const auto &[key, value] : input.dictionary().entries)
      pair(key, value);
    return Value::string(std::move(out));
  }
  for (const Value &item : itemsOf(input)) {
    std::vector<Value> parts = itemsOf(item);
    if (parts.size() != 2)
      raise("not enough values to unpack (expected 2, got " + std::to_string(parts.size()) + ")");
    pair(parts[0], parts[1]);
  }
  return Value::string(std::move(out));
}

Value xmlattr(Interpreter &, const Value &input, const Arguments &given) {
  std::vector<Value> a = bindArguments(given, "xmlattr", {"autospace"}, 0);
  if (!input.is(Kind::Dict))
    raise(std::string("'") + typeName(input) + "' object has no attribute 'items'");
  std::string out;
  for (const auto &[key, value] : input.dictionary().entries) {
    if (value.is(Kind::None) || value.is(Kind::Undefined))
      continue;
    std::string name = toText(key);
    if (name.find_first_of(" \t\n\r\f\v/>=") != name.npos)
      raise("Invalid character in attribute name: " + toRepr(key));
    out += (out.empty() ? "" : " ") + escaped(key) + "=\"" + escaped(value) + "\"";
  }
  bool space = (a[0].missing() || truth(a[0])) && !out.empty();
  return Value::string(space ? " " + out : out);
}

} // namespace stepdown::jinja::filters
