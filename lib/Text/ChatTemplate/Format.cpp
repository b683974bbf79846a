// The three ways in which Python formats: "%s" % x, "{}".format(x), and the specification both lead to.
#include "lib/Text/ChatTemplate/Operations.h"
#include "lib/Text/ChatTemplate/Text.h"
#include <algorithm>
#include <cmath>
#include <cstdio>

namespace stepdown::jinja {

namespace {

constexpr int64_t widest = 1 << 20; // of a field; a template has no use for more

/// [[fill]align][sign][#][0][width][grouping][.precision][type]
struct Specification {
  String fill = " ";
  char align = 0, sign = '-', grouping = 0, type = 0;
  bool alternate = false, zero = false;
  int64_t width = 0, precision = -1;
};

int64_t readNumber(std::string_view s, size_t &at) {
  int64_t n = 0;
  for (; at < s.size() && s[at] >= '0' && s[at] <= '9'; ++at)
    if ((n = n * 10 + (s[at] - '0')) > widest)
      raise("expects a field width of at most " + decimal(widest) + ", but got more");
  return n;
}

Specification parseSpecification(std::string_view s) {
  Specification f;
  size_t at = 0, bytes = 0;
  auto isAlign = [](char c) { return c == '<' || c == '>' || c == '^' || c == '='; };
  if (!s.empty())
    decodeAt(s, 0, bytes);
  if (bytes && bytes < s.size() && isAlign(s[bytes])) {
    f.fill = s.substr(0, bytes);
    f.align = s[bytes];
    at = bytes + 1;
  } else if (!s.empty() && isAlign(s[0])) {
    f.align = s[at++];
  }
  if (at < s.size() && (s[at] == '+' || s[at] == '-' || s[at] == ' '))
    f.sign = s[at++];
  if (at < s.size() && s[at] == '#')
    f.alternate = s[at++] == '#';
  if (at < s.size() && s[at] == '0') {
    ++at;
    f.zero = true;
    if (!f.align) {
      f.align = '=';
      f.fill = "0";
    }
  }
  f.width = readNumber(s, at);
  if (at < s.size() && (s[at] == ',' || s[at] == '_'))
    f.grouping = s[at++];
  if (at < s.size() && s[at] == '.') {
    if (++at >= s.size() || s[at] < '0' || s[at] > '9')
      raise("Format specifier missing precision");
    f.precision = readNumber(s, at);
  }
  if (at < s.size())
    f.type = s[at++];
  if (at < s.size())
    raise("Invalid format specifier '" + String(s) + "'");
  return f;
}

/// Zeroes in front that take part in the groups, as many as `room` has place for together with the marks.
void zeroFill(String &digits, int64_t room, int64_t every) {
  int64_t count = static_cast<int64_t>(digits.size());
  count = std::max(count, room / (every + 1) * every - 1); // d digits take d + (d - 1) / every
  while (count + 1 + count / every <= room)
    ++count;
  digits.insert(0, count - digits.size(), '0');
}

String grouped(const String &digits, char mark, size_t every) {
  if (!mark)
    return digits;
  Budget::spendDecoding(digits.size());
  String out;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i && (digits.size() - i) % every == 0)
      out += mark;
    out += digits[i];
  }
  return out;
}

String padded(const Specification &f, const String &sign, const String &body, char align) {
  int64_t missing = f.width - static_cast<int64_t>(countPoints(sign) + countPoints(body));
  if (missing <= 0)
    return sign + body;
  auto fill = [&](int64_t n) { return repeated(f.fill, n); };
  switch (align) {
  case '<':
    return sign + body + fill(missing);
  case '^':
    return fill(missing / 2) + sign + body + fill(missing - missing / 2);
  case '=':
    return sign + fill(missing) + body;
  default:
    return fill(missing) + sign + body;
  }
}

String signOf(bool negative, char mode) { return negative ? "-" : mode == '+' ? "+" : mode == ' ' ? " " : ""; }

String formatInteger(int64_t value, const Specification &f) {
  uint64_t magnitude = value < 0 ? -static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
  int base = f.type == 'b' ? 2 : f.type == 'o' ? 8 : f.type == 'x' || f.type == 'X' ? 16 : 10;
  String digits;
  do
    digits.insert(digits.begin(), (f.type == 'X' ? "0123456789ABCDEF" : "0123456789abcdef")[magnitude % base]);
  while (magnitude /= base);
  String sign = signOf(value < 0, f.sign);
  if (f.alternate && base != 10)
    sign += String("0") + f.type;
  char align = f.align ? f.align : '>';
  if (f.grouping && f.fill == "0" && align == '=')
    zeroFill(digits, f.width - static_cast<int64_t>(sign.size()), base == 10 ? 3 : 4);
  return padded(f, sign, grouped(digits, f.grouping, base == 10 ? 3 : 4), align);
}

/// The digits of |value| as the type letter asks, without sign.
String realDigits(double value, const Specification &f) {
  char type = f.type ? f.type : 'g';
  bool percent = type == '%';
  double magnitude = std::fabs(percent ? value * 100 : value);
  Budget::spend(64); // hundreds of digits
  if (std::isnan(value) || std::isinf(value)) {
    String word = std::isnan(value) ? "nan" : "inf";
    return (type >= 'A' && type <= 'Z' ? upper(word) : word) + (percent ? "%" : "");
  }
  if (!f.type && f.precision < 0)
    return floatRepr(magnitude);
  char letter = percent ? 'f' : type == 'n' ? 'g' : type;
  int precision = static_cast<int>(std::min<int64_t>(f.precision < 0 ? 6 : f.precision, 1000));
  if (!f.type && precision == 0)
    precision = 1;
  char shape[16];
  std::snprintf(shape, sizeof shape, "%%%s.*%c", f.alternate ? "#" : "", letter == 'F' ? 'f' : letter);
  String out(400 + precision, 0);
  out.resize(std::snprintf(out.data(), out.size(), shape, precision, magnitude));
  if (!f.type) { // like 'g', but with one digit past the point, and an exponent one digit earlier
    int exponent = magnitude == 0 ? 0 : static_cast<int>(std::floor(std::log10(magnitude)));
    if (exponent == precision - 1 && out.find('e') == out.npos && out.find('.') == out.npos) {
      String text(64 + precision, 0);
      text.resize(std::snprintf(text.data(), text.size(), "%.*e", precision - 1, magnitude));
      return text;
    }
    if (out.find_first_of(".e") == out.npos)
      out += ".0";
  }
  return percent ? out + "%" : out;
}

String formatReal(double value, const Specification &f) {
  String digits = realDigits(value, f);
  size_t whole = digits.find_first_not_of("0123456789");
  whole = whole == digits.npos ? digits.size() : whole;
  String sign = signOf(std::signbit(value) && !std::isnan(value), f.sign);
  String front = digits.substr(0, whole), back = digits.substr(whole);
  char align = f.align ? f.align : '>';
  if (f.grouping && f.fill == "0" && align == '=')
    zeroFill(front, f.width - static_cast<int64_t>(sign.size() + back.size()), 3);
  return padded(f, sign, grouped(front, f.grouping, 3) + back, align);
}

/// One field of a '%' format, its letter already known.
String percentField(const Value &value, Specification f, bool left, bool zero) {
  f.align = left ? '<' : '>';
  switch (f.type) {
  case 's':
  case 'r':
  case 'a': {
    String text = f.type == 's' ? toText(value) : toRepr(value);
    if (f.precision >= 0)
      text.resize(offsetOf(text, f.precision));
    return padded(f, "", text, f.align);
  }
  case 'c':
    if (value.is(Kind::String) && countPoints(value.text()) == 1)
      return padded(f, "", value.text(), f.align);
    if (value.isIntegral() && value.asInteger() >= 0 && value.asInteger() < 0x110000) {
      String text;
      appendPoint(text, static_cast<uint32_t>(value.asInteger()));
      return padded(f, "", text, f.align);
    }
    raise("%c requires int or char");
  case 'd':
  case 'i':
  case 'u':
  case 'x':
  case 'X':
  case 'o': {
    bool decimal = f.type == 'd' || f.type == 'i' || f.type == 'u';
    if (!value.isNumber() || (!decimal && value.is(Kind::Float)) || std::isnan(value.asReal()) ||
        std::fabs(value.asReal()) > 9.2e18)
      raise(String("%") + f.type + " format: " + (decimal ? "a real number" : "an integer") + " is required, not " +
            typeName(value));
    int64_t i = value.is(Kind::Float) ? static_cast<int64_t>(value.asReal()) : value.asInteger();
    if (decimal)
      f.type = 'd';
    if (f.precision >= 0) { // at least so many digits
      Specification digits;
      digits.type = f.type;
      digits.width = f.precision + (i < 0);
      digits.fill = "0";
      digits.align = '=';
      String text = formatInteger(i, digits);
      return padded(f, i >= 0 ? signOf(false, f.sign) : "", text, f.align);
    }
    if (zero && !left) {
      f.fill = "0";
      f.align = '=';
    }
    return formatInteger(i, f);
  }
  case 'e':
  case 'E':
  case 'f':
  case 'F':
  case 'g':
  case 'G':
    if (!value.isNumber())
      raise(String("must be real number, not ") + typeName(value));
    if (zero && !left) {
      f.fill = "0";
      f.align = '=';
    }
    return formatReal(value.asReal(), f);
  default:
    raise(String("unsupported format character '") + f.type + "'");
  }
}

} // namespace

String formatValue(const Value &value, std::string_view specification) {
  if (specification.empty())
    return toText(value);
  Specification f = parseSpecification(specification);
  auto unknown = [&]() {
    raise(String("Unknown format code '") + f.type + "' for object of type '" + typeName(value) + "'");
  };
  if (value.is(Kind::String)) {
    if (f.type && f.type != 's')
      unknown();
    if (f.align == '=' && !f.zero)
      raise("'=' alignment not allowed in string format specifier");
    String text = value.text();
    if (f.precision >= 0)
      text.resize(offsetOf(text, f.precision));
    char align = !f.align || f.align == '=' ? '<' : f.align;
    return padded(f, "", text, align);
  }
  if (value.isIntegral() && (!f.type || std::string_view("bdoxXn").find(f.type) != std::string_view::npos)) {
    if (f.precision >= 0)
      raise("Precision not allowed in integer format specifier");
    f.type = !f.type || f.type == 'n' ? 'd' : f.type;
    return formatInteger(value.asInteger(), f);
  }
  if (value.isIntegral() && f.type == 'c') {
    if (value.asInteger() < 0 || value.asInteger() > 0x10FFFF)
      raise("%c arg not in range(0x110000)");
    String text;
    appendPoint(text, static_cast<uint32_t>(value.asInteger()));
    return padded(f, "", text, f.align ? f.align : '<');
  }
  if (value.isNumber()) {
    if (f.type && std::string_view("eEfFgGn%").find(f.type) == std::string_view::npos)
      unknown();
    return formatReal(value.asReal(), f);
  }
  raise(String("unsupported format string passed to ") + typeName(value) + ".__format__");
}

Value formatPercent(const Value &text, const Value &arguments) {
  const String &s = text.text();
  Budget::spendDecoding(s.size());
  bool tuple = arguments.is(Kind::Tuple);
  size_t next = 0;
  auto take = [&]() -> Value {
    if (!tuple && next++ == 0)
      return arguments;
    if (!tuple || next >= arguments.items().size())
      raise("not enough arguments for format string");
    return arguments.items()[next++];
  };
  String out;
  bool named = false;
  for (size_t i = 0; i < s.size(); ++i) {
    if (s[i] != '%') {
      out += s[i];
      continue;
    }
    Value value;
    Specification f;
    bool left = false, zero = false;
    if (++i < s.size() && s[i] == '(') {
      size_t close = s.find(')', i);
      if (close == s.npos)
        raise("incomplete format key");
      if (!arguments.is(Kind::Dict))
        raise("format requires a mapping");
      String key = s.substr(i + 1, close - i - 1);
      const Value *found = arguments.dictionary().find(std::string_view(key));
      if (!found)
        raise("KeyError: " + reprOf(key));
      value = *found;
      named = true;
      i = close + 1;
    }
    for (; i < s.size() && std::string_view("-+ #0").find(s[i]) != std::string_view::npos; ++i) {
      left |= s[i] == '-';
      zero |= s[i] == '0';
      f.alternate |= s[i] == '#';
      if (s[i] == '+' || (s[i] == ' ' && f.sign != '+'))
        f.sign = s[i];
    }
    auto star = [&]() {
      Value n = take();
      if (!n.isIntegral() || n.asInteger() > widest || n.asInteger() < -widest)
        raise("* wants int");
      ++i;
      return n.asInteger();
    };
    f.width = i < s.size() && s[i] == '*' ? star() : readNumber(s, i);
    if (f.width < 0) {
      left = true;
      f.width = -f.width;
    }
    if (i < s.size() && s[i] == '.') {
      ++i;
      f.precision = i < s.size() && s[i] == '*' ? std::max<int64_t>(star(), 0) : readNumber(s, i);
    }
    while (i < s.size() && (s[i] == 'l' || s[i] == 'h' || s[i] == 'L'))
      ++i;
    if (i >= s.size())
      raise("incomplete format");
    f.type = s[i];
    if (f.type == '%') {
      out += '%';
      continue;
    }
    if (value.missing())
      value = take();
    String field = percentField(value, f, left, zero);
    out += text.markup() && f.type == 's' && !(value.is(Kind::String) && value.markup()) ? escapeHtml(field) : field;
  }
  bool leftover = tuple ? next < arguments.items().size()
                        : next == 0 && !named && !arguments.is(Kind::Dict) && !arguments.is(Kind::List) &&
                              !arguments.is(Kind::Undefined) && !arguments.is(Kind::Range); // what has items
  if (leftover)
    raise("not all arguments converted during string formatting");
  return Value::string(std::move(out), text.markup());
}

} // namespace stepdown::jinja
