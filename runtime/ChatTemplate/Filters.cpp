// Names of filters; those on numbers and any value.
#include "runtime/ChatTemplate/Filters.h"
#include "runtime/ChatTemplate/Json.h"
#include "runtime/ChatTemplate/Text.h"
#include <algorithm>
#include <cmath>
#include <cstdio>

namespace stepdown::jinja {

FilterFunction findFilter(std::string_view name) {
  using namespace filters;
  static const std::pair<std::string_view, FilterFunction> table[] = {{"tojson", tojson},
                                                                      {"trim", trimmed},
                                                                      {"length", length},
                                                                      {"default", defaulted},
                                                                      {"string", string},
                                                                      {"join", joined},
                                                                      {"lower", lowered},
                                                                      {"upper", uppered},
                                                                      {"safe", safe},
                                                                      {"list", toList},
                                                                      {"items", items},
                                                                      {"replace", replaced},
                                                                      {"selectattr", selectattr},
                                                                      {"rejectattr", rejectattr},
                                                                      {"select", select},
                                                                      {"reject", reject},
                                                                      {"map", mapped},
                                                                      {"dictsort", dictsort},
                                                                      {"first", first},
                                                                      {"last", last},
                                                                      {"count", length},
                                                                      {"d", defaulted},
                                                                      {"abs", absolute},
                                                                      {"attr", attr},
                                                                      {"batch", batch},
                                                                      {"capitalize", capitalized},
                                                                      {"center", centered},
                                                                      {"e", escape},
                                                                      {"escape", escape},
                                                                      {"filesizeformat", filesize},
                                                                      {"float", toFloat},
                                                                      {"forceescape", forceEscape},
                                                                      {"format", formatted},
                                                                      {"groupby", groupby},
                                                                      {"indent", indented},
                                                                      {"int", toInt},
                                                                      {"min", smallest},
                                                                      {"max", largest},
                                                                      {"pprint", pprint},
                                                                      {"reverse", reversed},
                                                                      {"round", rounded},
                                                                      {"slice", sliced},
                                                                      {"sort", sorted},
                                                                      {"striptags", striptags},
                                                                      {"sum", sum},
                                                                      {"title", titled},
                                                                      {"truncate", truncated},
                                                                      {"unique", unique},
                                                                      {"urlencode", urlencode},
                                                                      {"wordcount", wordcount},
                                                                      {"wordwrap", wordwrap},
                                                                      {"xmlattr", xmlattr}};
  for (const auto &[known, filter] : table)
    if (known == name)
      return filter;
  return nullptr;
}

namespace filters {

Value absolute(Interpreter &, const Value &input, const Arguments &) {
  if (input.isIntegral())
    return input.asInteger() < 0 ? negate(input) : positive(input);
  if (input.is(Kind::Float))
    return Value::real(std::fabs(input.asReal()));
  if (input.is(Kind::Undefined))
    raiseUndefined(input);
  raise(std::string("bad operand type for abs(): '") + typeName(input) + "'");
}

Value attr(Interpreter &, const Value &input, const Arguments &given) {
  std::vector<Value> a = bindArguments(given, "attr", {"name"}, 1);
  const std::string &name = textArgument(a[0], "attr");
  if (input.is(Kind::Undefined))
    raiseUndefined(input);
  Value member = memberOf(input, name);
  return member.missing()
             ? Value::undefined(reprOf(std::string(typeName(input)) + " object") + " has no attribute " + reprOf(name))
             : member;
}

Value defaulted(Interpreter &, const Value &input, const Arguments &given) {
  std::vector<Value> a = bindArguments(given, "default", {"default_value", "boolean"}, 0);
  if (input.is(Kind::Undefined) || (truth(a[1]) && !truth(input)))
    return a[0].missing() ? Value::string("") : a[0];
  return input;
}

Value toInt(Interpreter &, const Value &input, const Arguments &given) {
  std::vector<Value> a = bindArguments(given, "int", {"default", "base"}, 0);
  Value otherwise = a[0].missing() ? Value::integer(0) : a[0];
  double real = NAN;
  if (input.is(Kind::Undefined))
    raiseUndefined(input);
  if (input.is(Kind::Big))
    return input;
  if (input.isIntegral())
    return Value::integer(input.asInteger());
  if (input.is(Kind::String)) {
    int64_t base = a[1].missing() ? 10 : integerArgument(a[1], "int");
    if (std::optional<int64_t> i = parseInteger(input.text(), static_cast<int>(std::min<int64_t>(base, 99))))
      return Value::integer(*i);
    real = parseReal(input.text()).value_or(NAN);
  } else if (input.is(Kind::Float)) {
    real = input.asReal();
  }
  if (std::isinf(real) && input.is(Kind::Float))
    raise("cannot convert float infinity to integer");
  if (!std::isfinite(real))
    return otherwise;
  if (std::fabs(real) >= 9.2e18)
    raise("expects integers within 64 bits, but got " + floatRepr(real));
  return Value::integer(static_cast<int64_t>(real));
}

Value toFloat(Interpreter &, const Value &input, const Arguments &given) {
  std::vector<Value> a = bindArguments(given, "float", {"default"}, 0);
  if (input.is(Kind::Undefined))
    raiseUndefined(input);
  if (input.isNumber())
    return Value::real(input.asReal());
  if (input.is(Kind::String) || input.is(Kind::Big))
    if (std::optional<double> f = parseReal(input.text()))
      return Value::real(*f);
  return a[0].missing() ? Value::real(0) : a[0];
}

Value rounded(Interpreter &, const Value &input, const Arguments &given) {
  std::vector<Value> a = bindArguments(given, "round", {"precision", "method"}, 0);
  int64_t precision = a[0].missing() ? 0 : integerArgument(a[0], "round");
  std::string method = a[1].missing() ? "common" : textArgument(a[1], "round");
  if (method != "common" && method != "ceil" && method != "floor")
    raise("method must be common, ceil or floor");
  if (!input.isNumber()) {
    if (input.is(Kind::Undefined))
      raiseUndefined(input);
    raise(std::string("type ") + typeName(input) + " doesn't define __round__ method");
  }
  precision = std::min<int64_t>(std::max<int64_t>(precision, -300), 300);
  double x = input.asReal();
  if (method == "common") { // correctly rounded in decimal, as Python's round
    if (input.isIntegral() && precision >= 0)
      return Value::integer(input.asInteger());
    double result;
    if (precision >= 0) {
      std::string digits(700, 0);
      std::snprintf(digits.data(), digits.size(), "%.*f", static_cast<int>(precision), x);
      result = std::isfinite(x) ? std::strtod(digits.c_str(), nullptr) : x;
    } else {
      double unit = std::pow(10.0, static_cast<double>(-precision));
      result = std::nearbyint(x / unit) * unit;
    }
    if (input.isIntegral())
      return Value::integer(static_cast<int64_t>(result));
    return Value::real(result);
  }
  double unit = std::pow(10.0, static_cast<double>(precision));
  double whole = method == "ceil" ? std::ceil(x * unit) : std::floor(x * unit);
  return Value::real(whole / unit);
}

Value filesize(Interpreter &, const Value &input, const Arguments &given) {
  std::vector<Value> a = bindArguments(given, "filesizeformat", {"binary"}, 0);
  bool binary = truth(a[0]);
  double base = binary ? 1024 : 1000;
  std::optional<double> size = input.isNumber()         ? std::optional<double>(input.asReal())
                               : input.is(Kind::String) ? parseReal(input.text())
                                                        : std::nullopt;
  if (!size)
    raise("could not convert to float: " + toRepr(input));
  char buffer[400];
  if (*size == 1)
    return Value::string("1 Byte");
  if (*size < base) {
    std::snprintf(buffer, sizeof buffer, "%.0f Bytes", std::trunc(*size));
    return Value::string(buffer);
  }
  double unit = base * base;
  int i = 0;
  for (; i < 7 && *size >= unit; ++i)
    unit *= base;
  std::snprintf(buffer, sizeof buffer, "%.1f %c%sB", base * *size / unit, (binary ? "KMGTPEZY" : "kMGTPEZY")[i],
                binary ? "i" : "");
  return Value::string(buffer);
}

Value string(Interpreter &, const Value &input, const Arguments &) {
  return input.is(Kind::String) ? input : Value::string(toText(input));
}

Value pprint(Interpreter &, const Value &input, const Arguments &) { return Value::string(toRepr(input)); }

Value tojson(Interpreter &, const Value &input, const Arguments &given) {
  std::vector<Value> a = bindArguments(given, "tojson", {"ensure_ascii", "indent", "separators", "sort_keys"}, 0);
  JsonStyle style;
  style.ensureAscii = truth(a[0]);
  style.sortKeys = truth(a[3]);
  if (!a[1].missing() && !a[1].is(Kind::None)) {
    style.itemSeparator = ",";
    style.lines = true;
    if (a[1].is(Kind::String))
      style.indent = a[1].text();
    else
      style.indent =
          std::string(std::min<int64_t>(std::max<int64_t>(integerArgument(a[1], "tojson"), 0), 1 << 16), ' ');
  }
  if (!a[2].missing() && !a[2].is(Kind::None)) {
    std::vector<Value> separators = itemsOf(a[2]);
    if (separators.size() != 2)
      raise("tojson: expects two separators, but got " + std::to_string(separators.size()));
    style.itemSeparator = textArgument(separators[0], "tojson");
    style.keySeparator = textArgument(separators[1], "tojson");
  }
  return Value::string(writeJson(input, style));
}

} // namespace filters
} // namespace stepdown::jinja
