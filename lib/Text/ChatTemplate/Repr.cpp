// str() and repr() of every kind of value, floats by the shortest digits that read back as the same number.
#include "lib/Text/ChatTemplate/Members.h"
#include "lib/Text/ChatTemplate/Operations.h"
#include "lib/Text/ChatTemplate/SyntaxTree.h"
#include "lib/Text/ChatTemplate/Text.h"
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>

namespace stepdown::jinja {

namespace {

void appendRepr(String &out, const Value &value);

/// A namespace that is being printed.
struct Opened {
  explicit Opened(const Object *object) : object(object), outer(innermost), depth(outer ? outer->depth + 1 : 0) {
    innermost = this;
  }
  ~Opened() { innermost = outer; }
  const Object *object;
  Opened *outer;
  size_t depth;
  static thread_local Opened *innermost;
};
thread_local Opened *Opened::innermost = nullptr;

void appendItems(String &out, const Vector<Value> &items) {
  for (size_t i = 0; i < items.size(); ++i) {
    out += i ? ", " : "";
    appendRepr(out, items[i]);
  }
}

void appendRepr(String &out, const Value &value) {
  Nesting guard;
  Budget::spend(1);
  switch (value.kind()) {
  case Kind::Missing:
    out += "missing";
    break;
  case Kind::Undefined:
    out += "Undefined";
    break;
  case Kind::None:
    out += "None";
    break;
  case Kind::Bool:
    out += value.asInteger() ? "True" : "False";
    break;
  case Kind::Integer:
    out += decimal(value.asInteger());
    break;
  case Kind::Big:
    out += value.text();
    break;
  case Kind::Float:
    out += floatRepr(value.asReal());
    break;
  case Kind::String:
    out += value.markup() ? "Markup(" + reprOf(value.text()) + ")" : reprOf(value.text());
    break;
  case Kind::List:
    out += '[';
    appendItems(out, value.items());
    out += ']';
    break;
  case Kind::Tuple:
    out += '(';
    appendItems(out, value.items());
    out += value.items().size() == 1 ? ",)" : ")";
    break;
  case Kind::Dict: {
    out += '{';
    bool first = true;
    for (const auto &[key, item] : value.dictionary().entries) {
      out += first ? "" : ", ";
      first = false;
      appendRepr(out, key);
      out += ": ";
      appendRepr(out, item);
    }
    out += '}';
    break;
  }
  case Kind::View:
    out += String(typeName(value)) + "([";
    appendItems(out, itemsOf(value));
    out += "])";
    break;
  case Kind::Range: {
    auto &range = value.as<RangeObject>();
    out += "range(" + decimal(range.start) + ", " + decimal(range.stop) +
           (range.step == 1 ? "" : ", " + decimal(range.step)) + ")";
    break;
  }
  case Kind::Namespace: {
    bool within = false; // a namespace may hold itself
    for (const Opened *o = Opened::innermost; o && !within; o = o->outer)
      within = o->object == value.identity();
    if (within) {
      out += "<Namespace {...}>";
      break;
    }
    Opened opened(value.identity());
    Budget::spend(1 + opened.depth / 16);
    out += "<Namespace {";
    bool first = true;
    for (const auto &[name, item] : value.as<NamespaceObject>().attributes) {
      out += (first ? "" : ", ") + reprOf(name) + ": ";
      first = false;
      appendRepr(out, item);
    }
    out += "}>";
    break;
  }
  case Kind::Macro: {
    auto &macro = value.as<MacroObject>();
    out += "<Macro " + (macro.name.empty() ? String("anonymous") : reprOf(macro.name)) + ">";
    break;
  }
  case Kind::Loop:
    out +=
        "<LoopContext " + decimal(loopAttribute(value, "index").asInteger()) + "/" + decimal(loopLength(value)) + ">";
    break;
  case Kind::Generator:
    out += "<generator object>";
    break;
  case Kind::Function:
    out += "<function " + value.as<FunctionObject>().name + ">"; // no address: it would tell of the host
    break;
  case Kind::Cycler:
    out += "<jinja2.utils.Cycler object>";
    break;
  case Kind::Joiner:
    out += "<jinja2.utils.Joiner object>";
    break;
  }
}

} // namespace

String toText(const Value &value) {
  if (value.is(Kind::String))
    return value.text();
  if (value.is(Kind::Undefined))
    return {};
  return toRepr(value);
}

void appendText(String &out, const Value &value) {
  if (value.is(Kind::String))
    out += value.text();
  else if (!value.is(Kind::Undefined))
    appendRepr(out, value);
}

String toRepr(const Value &value) {
  String out;
  appendRepr(out, value);
  return out;
}

String escaped(const Value &value) {
  if (value.is(Kind::String))
    return value.markup() ? value.text() : escapeHtml(value.text());
  return escapeHtml(toText(value));
}

String reprOf(std::string_view text) {
  Budget::spendLookups(text.size());
  bool single = text.find('\'') != text.npos, both = single && text.find('"') != text.npos;
  char quote = single && !both ? '"' : '\'';
  String out(1, quote);
  char buffer[16];
  for (size_t i = 0, n; i < text.size(); i += n) {
    uint32_t p = decodeAt(text, i, n);
    if (p == static_cast<unsigned char>(quote) || p == '\\') {
      out += '\\';
      out += static_cast<char>(p);
    } else if (p == '\n') {
      out += "\\n";
    } else if (p == '\r') {
      out += "\\r";
    } else if (p == '\t') {
      out += "\\t";
    } else if (p == ' ' || isPrintable(p)) {
      out += text.substr(i, n);
    } else {
      std::snprintf(buffer, sizeof buffer, p < 0x100 ? "\\x%02x" : p < 0x10000 ? "\\u%04x" : "\\U%08x", p);
      out += buffer;
    }
  }
  return out += quote;
}

String floatRepr(double f) {
  Budget::spend(8);
  if (std::isnan(f))
    return "nan";
  if (std::isinf(f))
    return f < 0 ? "-inf" : "inf";
  char buffer[40];
  auto end = std::to_chars(buffer, buffer + sizeof buffer, f, std::chars_format::scientific);
  String scientific(buffer, end.ptr);
  size_t e = scientific.find('e');
  int exponent = std::atoi(scientific.c_str() + e + 1);
  bool negative = scientific[0] == '-';
  String digits;
  for (char c : scientific.substr(0, e))
    if (c >= '0' && c <= '9')
      digits += c;
  String out = negative ? "-" : "";
  int count = static_cast<int>(digits.size());
  if (exponent < -4 || exponent >= 16) { // repr switches to an exponent where %r of C's 17 digits would
    out += digits[0];
    if (count > 1)
      out += "." + digits.substr(1);
    std::snprintf(buffer, sizeof buffer, "e%c%02d", exponent < 0 ? '-' : '+', std::abs(exponent));
    return out + buffer;
  }
  if (exponent < 0)
    return out + "0." + String(-exponent - 1, '0') + digits;
  if (count <= exponent + 1)
    return out + digits + String(exponent + 1 - count, '0') + ".0";
  return out + digits.substr(0, exponent + 1) + "." + digits.substr(exponent + 1);
}

std::optional<int64_t> parseInteger(std::string_view text, int base) {
  Budget::spendLookups(text.size());
  text = strip(text, nullptr, true, true);
  String digits;
  bool negative = false;
  size_t i = 0;
  if (i < text.size() && (text[i] == '+' || text[i] == '-'))
    negative = text[i++] == '-';
  if (i + 1 < text.size() && text[i] == '0') {
    char mark = static_cast<char>(text[i + 1] | 0x20);
    int marked = mark == 'x' ? 16 : mark == 'o' ? 8 : mark == 'b' ? 2 : 0;
    if (marked && (base == marked || base == 0)) {
      base = marked;
      i += 2;
      i += i < text.size() && text[i] == '_';
    }
  }
  bool automatic = base == 0;
  if (automatic)
    base = 10;
  if (base < 2 || base > 36)
    return std::nullopt;
  bool lastDigit = false;
  for (size_t n; i < text.size(); i += n) {
    uint32_t p = decodeAt(text, i, n);
    if (p == '_' && lastDigit) {
      lastDigit = false;
      continue;
    }
    if (p >= 0x80 && isDecimal(p)) { // other digits come in runs of ten; the zero is the first of its run
      uint32_t zero = p;
      while (p - zero < 9 && isDecimal(zero - 1))
        --zero;
      p = '0' + (p - zero);
    }
    if (p >= 0x80)
      return std::nullopt;
    digits += static_cast<char>(p);
    lastDigit = true;
  }
  if (!lastDigit ||
      (automatic && digits.size() > 1 && digits[0] == '0' && digits.find_first_not_of('0') != digits.npos))
    return std::nullopt;
  int64_t result = 0;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), result, base);
  if (error == std::errc::result_out_of_range)
    raise(String("expects integers within 64 bits, but got ").append(text.substr(0, 40)));
  if (error != std::errc() || end != digits.data() + digits.size() || digits[0] == '-')
    return std::nullopt;
  return negative ? -result : result;
}

std::optional<double> parseReal(std::string_view text) {
  Budget::spend(4 + text.size() / 2);
  text = strip(text, nullptr, true, true);
  String plain;
  for (size_t i = 0; i < text.size(); ++i) {
    auto digit = [&](size_t at) { return at < text.size() && text[at] >= '0' && text[at] <= '9'; };
    if (text[i] == '_' && i > 0 && digit(i - 1) && digit(i + 1))
      continue;
    plain += text[i];
  }
  size_t at = !plain.empty() && (plain[0] == '+' || plain[0] == '-');
  String word = lower(plain.substr(at));
  double sign = at && plain[0] == '-' ? -1.0 : 1.0;
  if (word == "inf" || word == "infinity")
    return sign * INFINITY;
  if (word == "nan")
    return NAN;
  if (word.empty() || word.find_first_not_of("0123456789.e+-") != word.npos)
    return std::nullopt;
  char *end = nullptr;
  double value = std::strtod(word.c_str(), &end);
  if (end == word.c_str() || *end != 0 || word[0] == '+' || word[0] == '-')
    return std::nullopt;
  return sign * value;
}

} // namespace stepdown::jinja
