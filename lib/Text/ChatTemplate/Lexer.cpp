// Two layers: text between tags, where white space is trimmed, and the inside of tags, where Python-like tokens are.
#include "lib/Text/ChatTemplate/Lexer.h"
#include "lib/Text/ChatTemplate/Budget.h"
#include "lib/Text/ChatTemplate/Text.h"
#include <algorithm>
#include <cstdlib>

namespace stepdown::jinja {

namespace {

[[noreturn]] void syntax(int line, String message) {
  throw Refusal{ErrorCode::TemplateSyntax, std::string(message), line, {}};
}

/// One newline is \n whatever the file had, and a final one goes.
String normalised(std::string_view text) {
  Budget::spendLookups(text.size()); // what reading the text character by character takes
  String out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\r') {
      out += '\n';
      i += i + 1 < text.size() && text[i + 1] == '\n';
    } else {
      out += text[i];
    }
  }
  if (!out.empty() && out.back() == '\n')
    out.pop_back();
  return out;
}

class Lexer {
public:
  explicit Lexer(Tokens &tokens) : tokens(tokens), source(tokens.source) {}

  void run() {
    while (at < source.size())
      text();
    push(TokenKind::End, {});
  }

private:
  /// `text` lies in the source.
  void push(TokenKind kind, std::string_view text) {
    Budget::spend(4);
    tokens.list.push_back({kind, kind == TokenKind::Operator ? operatorCode(text) : uint16_t(0), line, text});
  }
  void pushDecoded(TokenKind kind, String text) {
    tokens.decoded.push_back(std::move(text));
    push(kind, tokens.decoded.back());
  }
  std::string_view piece(size_t begin, size_t bytes = std::string_view::npos) const {
    return std::string_view(source).substr(begin, bytes);
  }

  void advance(size_t to) {
    line += static_cast<int>(std::count(source.begin() + at, source.begin() + to, '\n'));
    at = to;
  }

  size_t skipSpace(size_t from) const {
    size_t n;
    while (from < source.size() && isSpace(decodeAt(source, from, n)))
      from += n;
    return from;
  }

  bool startsAt(size_t where, std::string_view what) const { return source.compare(where, what.size(), what) == 0; }

  /// Data up to `tag`, whose sign and kind decide how much white space before it stays.
  void data(size_t tag, char sign, bool output) {
    std::string_view text(source.data() + at, tag - at);
    std::string_view kept = text;
    if (sign == '-') {
      kept = strip(text, nullptr, false, true);
    } else if (sign != '+' && !output) {
      size_t newline = text.rfind('\n');
      size_t begin = newline == text.npos ? 0 : newline + 1;
      std::string_view blanks = text.substr(begin);
      if ((begin > 0 || lineStarting) && !blanks.empty() && strip(blanks, nullptr, true, true).empty())
        kept = text.substr(0, begin);
    }
    if (!kept.empty())
      push(TokenKind::Data, kept);
    advance(tag);
  }

  char signAt(size_t where) const {
    return where < source.size() && (source[where] == '-' || source[where] == '+') ? source[where] : 0;
  }

  /// The end of a tag that closes at `where` with "%}" or "#}" (after its sign): white space or a newline goes along.
  size_t afterClose(size_t where, char sign) const {
    where += 2;
    if (sign == '-')
      return skipSpace(where);
    return sign != '+' && where < source.size() && source[where] == '\n' ? where + 1 : where;
  }

  void text() {
    size_t tag = at;
    while ((tag = source.find('{', tag)) != source.npos && !startsAt(tag, "{{") && !startsAt(tag, "{%") &&
           !startsAt(tag, "{#"))
      ++tag;
    if (tag == source.npos) {
      push(TokenKind::Data, piece(at));
      advance(source.size());
      return;
    }
    char sign = signAt(tag + 2);
    char kind = source[tag + 1];
    data(tag, sign, kind == '{');
    size_t inside = tag + 2 + (sign != 0);
    if (kind == '#')
      return comment(inside);
    if (kind == '%' && raw(inside))
      return;
    push(kind == '{' ? TokenKind::OutputBegin : TokenKind::BlockBegin, {});
    advance(inside);
    expression(kind == '{');
  }

  void comment(size_t inside) {
    size_t close = source.find("#}", inside);
    if (close == source.npos)
      syntax(line, "missing end of comment tag");
    char sign = close > inside ? signAt(close - 1) : 0;
    size_t next = afterClose(close, sign);
    lineStarting = source[next - 1] == '\n';
    advance(next);
  }

  /// {% raw %} ... {% endraw %}: data, verbatim. Returns false for any other block.
  bool raw(size_t inside) {
    size_t i = skipSpace(inside);
    if (!startsAt(i, "raw"))
      return false;
    i = skipSpace(i + 3);
    bool trims = startsAt(i, "-%}");
    if (!trims && !startsAt(i, "%}"))
      return false;
    size_t begin = trims ? skipSpace(i + 3) : i + 2;
    lineStarting = source[begin - 1] == '\n';
    advance(begin);
    for (size_t tag = begin; (tag = source.find("{%", tag)) != source.npos; tag += 2) {
      char sign = signAt(tag + 2);
      size_t j = skipSpace(tag + 2 + (sign != 0));
      if (!startsAt(j, "endraw"))
        continue;
      j = skipSpace(j + 6);
      char close = signAt(j);
      j += close != 0;
      if (!startsAt(j, "%}"))
        continue;
      data(tag, sign, false);
      size_t next = afterClose(j, close);
      lineStarting = source[next - 1] == '\n';
      advance(next);
      return true;
    }
    syntax(line, "missing end of raw directive");
  }

  void expression(bool output) {
    const char *close = output ? "}}" : "%}";
    while (true) {
      advance(skipSpace(at));
      if (at >= source.size())
        syntax(line, String("expects ") + close + " before the end of the template");
      if (brackets.empty()) {
        char sign = signAt(at);
        size_t end = at + (sign != 0);
        bool signAllowed = !output || sign != '+';
        if (signAllowed && startsAt(end, close)) {
          push(output ? TokenKind::OutputEnd : TokenKind::BlockEnd, {});
          size_t next = output ? (sign == '-' ? skipSpace(end + 2) : end + 2) : afterClose(end, sign);
          lineStarting = source[next - 1] == '\n';
          advance(next);
          return;
        }
      }
      token();
    }
  }

  void token() {
    auto c = static_cast<unsigned char>(source[at]);
    if (c == '"' || c == '\'')
      return string(static_cast<char>(c));
    if (c >= '0' && c <= '9')
      return number();
    size_t n;
    uint32_t p = decodeAt(source, at, n);
    if (isWord(p) && !isDecimal(p)) {
      size_t end = at;
      while (end < source.size() && isWord(decodeAt(source, end, n)))
        end += n;
      push(TokenKind::Name, piece(at, end - at));
      at = end;
      return;
    }
    static const char *const pairs[] = {"//", "**", "==", "!=", ">=", "<="};
    for (const char *pair : pairs)
      if (startsAt(at, pair)) {
        push(TokenKind::Operator, pair);
        at += 2;
        return;
      }
    if (!c || std::string_view("+-/*%~[](){}><=.:|,;").find(static_cast<char>(c)) == std::string_view::npos)
      syntax(line, "unexpected char " + String(1, '\'') + source.substr(at, n) + "'");
    bracket(static_cast<char>(c));
    push(TokenKind::Operator, piece(at, 1));
    ++at;
  }

  void bracket(char c) {
    if (c == '(' || c == '[' || c == '{') {
      brackets.push_back(c == '(' ? ')' : c == '[' ? ']' : '}');
      if (brackets.size() > 200)
        syntax(line, "expects brackets nested at most 200 deep, but got more");
    } else if (c == ')' || c == ']' || c == '}') {
      if (brackets.empty())
        syntax(line, String("unexpected '") + c + "'");
      if (brackets.back() != c)
        syntax(line, String("unexpected '") + c + "', expected '" + brackets.back() + "'");
      brackets.pop_back();
    }
  }

  void number() {
    auto digit = [&](size_t i, int base) {
      if (i >= source.size())
        return false;
      char c = source[i];
      int value = c >= '0' && c <= '9' ? c - '0' : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : 99;
      return value < base;
    };
    auto run = [&](size_t i, int base) { // digits, single underscores between them
      while (digit(i, base) || (i < source.size() && source[i] == '_' && digit(i + 1, base)))
        ++i;
      return i;
    };
    size_t end;
    char mark = at + 1 < source.size() && source[at] == '0' ? static_cast<char>(source[at + 1] | 0x20) : 0;
    int base = mark == 'x' ? 16 : mark == 'o' ? 8 : mark == 'b' ? 2 : 10;
    size_t first = at + 2 + (base != 10 && at + 2 < source.size() && source[at + 2] == '_');
    bool real = false;
    if (base != 10 && digit(first, base)) {
      end = run(first, base);
    } else {
      base = 10;
      end = run(at, 10);
      bool afterDot = at > 0 && source[at - 1] == '.'; // a.1.2 are two items, not the number 1.2
      size_t e = end;
      if (!afterDot && end < source.size() && source[end] == '.' && digit(end + 1, 10)) {
        e = end = run(end + 1, 10);
        real = true;
      }
      if (!afterDot && e < source.size() && (source[e] | 0x20) == 'e') {
        size_t exponent = e + 1 + (e + 1 < source.size() && (source[e + 1] == '+' || source[e + 1] == '-'));
        if (digit(exponent, 10)) {
          end = run(exponent, 10);
          real = true;
        }
      }
      if (!real && source[at] == '0') // a leading zero is a number of its own, as in Jinja
        for (end = at + 1; end < source.size() && source[end] == '0';)
          ++end;
    }
    if (base == 10 && piece(at, end - at).find('_') == std::string_view::npos) {
      push(real ? TokenKind::Float : TokenKind::Integer, piece(at, end - at));
      at = end;
      return;
    }
    String digits;
    for (size_t i = base == 10 ? at : first; i < end; ++i)
      if (source[i] != '_')
        digits += source[i];
    if (base != 10) {
      char *stop;
      errno = 0;
      unsigned long long value = std::strtoull(digits.c_str(), &stop, base);
      if (errno || value > INT64_MAX)
        syntax(line, "expects an integer within 64 bits, but got " + source.substr(at, std::min<size_t>(end - at, 40)));
      digits = decimal(static_cast<int64_t>(value));
    }
    pushDecoded(real ? TokenKind::Float : TokenKind::Integer, std::move(digits));
    at = end;
  }

  void string(char quote) {
    size_t end = at + 1;
    while (end < source.size() && source[end] != quote)
      end += source[end] == '\\' ? 2 : 1;
    if (end >= source.size())
      syntax(line, String("unexpected char '") + quote + "': the string has no end");
    std::string_view inside = piece(at + 1, end - at - 1);
    if (inside.find('\\') == inside.npos)
      push(TokenKind::String, inside);
    else
      pushDecoded(TokenKind::String, unescape(inside));
    advance(end + 1);
  }

  String unescape(std::string_view s) const {
    String out;
    for (size_t i = 0; i < s.size(); ++i) {
      if (s[i] != '\\' || i + 1 >= s.size()) {
        out += s[i];
        continue;
      }
      static const std::string_view letters = "abfnrtv\\'\"\n", meanings = "\a\b\f\n\r\t\v\\'\"";
      char c = s[++i];
      size_t known = letters.find(c);
      int hex = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
      if (known < meanings.size()) {
        out += meanings[known];
      } else if (c == '\n') {
        continue;
      } else if (hex) {
        appendPoint(out, escapeDigits(s, i + 1, hex, c));
        i += hex;
      } else if (c >= '0' && c <= '7') {
        uint32_t point = 0;
        size_t digits = 0;
        for (; digits < 3 && i + digits < s.size() && s[i + digits] >= '0' && s[i + digits] <= '7'; ++digits)
          point = point * 8 + (s[i + digits] - '0');
        appendPoint(out, point);
        i += digits - 1;
      } else if (c == 'N') {
        syntax(line, "expects a character by number (\\u....), but got one by name (\\N)");
      } else {
        out += '\\';
        out += c;
      }
    }
    return out;
  }

  uint32_t escapeDigits(std::string_view s, size_t from, int count, char letter) const {
    uint32_t point = 0;
    for (int k = 0; k < count; ++k) {
      char c = from + k < s.size() ? static_cast<char>(s[from + k] | 0x20) : 0;
      bool decimal = from + k < s.size() && s[from + k] >= '0' && s[from + k] <= '9';
      if (!decimal && (c < 'a' || c > 'f'))
        syntax(line, String("truncated \\") + letter + " escape");
      point = point * 16 + (decimal ? s[from + k] - '0' : c - 'a' + 10);
    }
    if (point > 0x10FFFF || (point >= 0xD800 && point < 0xE000))
      syntax(line, String("illegal Unicode character in \\") + letter + " escape");
    return point;
  }

  Tokens &tokens;
  const String &source;
  size_t at = 0;
  int line = 1;
  bool lineStarting = true;
  Vector<char> brackets;
};

} // namespace

Tokens::Tokens(std::string_view text) : source(normalised(text)) { Lexer(*this).run(); }

} // namespace stepdown::jinja
