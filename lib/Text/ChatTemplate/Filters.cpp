// Names of filters; those on numbers and any value.
#include "lib/Text/ChatTemplate/Filters.h"
#include "lib/Text/ChatTemplate/Json.h"
#include "lib/Text/ChatTemplate/Text.h"
#include <algorithm>
#include <cmath>
#include <cstdio>

namespace stepdown::jinja {

namespace {
const std::pair<std::string_view, FilterFunction> table[] = {
    {"tojson", filters::tojson},
    {"trim", filters::trimmed},
    {"length", filters::length},
    {"default", filters::defaulted},
    {"string", filters::string},
    {"join", filters::joined},
    {"lower", filters::lowered},
    {"upper", filters::uppered},
    {"safe", filters::safe},
    {"list", filters::toList},
    {"items", filters::items},
    {"replace", filters::replaced},
    {"selectattr", filters::selectattr},
    {"rejectattr", filters::rejectattr},
    {"select", filters::select},
    {"reject", filters::reject},
    {"map", filters::mapped},
    {"dictsort", filters::dictsort},
    {"first", filters::first},
    {"last", filters::last},
    {"count", filters::length},
    {"d", filters::defaulted},
    {"abs", filters::absolute},
    {"attr", filters::attr},
    {"batch", filters::batch},
    {"capitalize", filters::capitalized},
    {"center", filters::centered},
    {"e", filters::escape},
    {"escape", filters::escape},
    {"filesizeformat", filters::filesize},
    {"float", filters::toFloat},
    {"forceescape", filters::forceEscape},
    {"format", filters::formatted},
    {"groupby", filters::groupby},
    {"indent", filters::indented},
    {"int", filters::toInt},
    {"min", filters::smallest},
    {"max", filters::largest},
    {"pprint", filters::pprint},
    {"reverse", filters::reversed},
    {"round", filters::rounded},
    {"slice", filters::sliced},
    {"sort", filters::sorted},
    {"striptags", filters::striptags},
    {"sum", filters::sum},
    {"title", filters::titled},
    {"truncate", filters::truncated},
    {"unique", filters::unique},
    {"urlencode", filters::urlencode},
    {"wordcount", filters::wordcount},
    {"wordwrap", filters::wordwrap},
    {"xmlattr", filters::xmlattr},
};
} // namespace

FilterFunction findFilter(std::string_view name) { return find(table, name); }

Vector<std::string_view> filterNames() { return namesOf(table); }

namespace filters {

Value absolute(Interpreter &, const Value &input, const Arguments &) {
  if (input.isIntegral())
    return input.asInteger() < 0 ? negate(input) : positive(input);
  if (input.is(Kind::Float))
    return Value::real(std::fabs(input.asReal()));
  if (input.is(Kind::Undefined))
    raiseUndefined(input);
  raise(String("bad operand type for abs(): '") + typeName(input) + "'");
}

Value attr(Interpreter &, const Value &input, const Arguments &given) {
  Vector<Value> a = bindArguments(given, "attr", {"name"}, 1);
  const String &name = textArgument(a[0], "attr");
  if (input.is(Kind::Undefined))
    raiseUndefined(input);
  Value member = memberOf(input, name);
  return member.missing()
             ? Value::undefined(reprOf(String(typeName(input)) + " object") + " has no attribute " + reprOf(name))
             : member;
}

Value defaulted(Interpreter &, const Value &input, const Arguments &given) {
  Vector<Value> a = bindArguments(given, "default", {"default_value", "boolean"}, 0);
  if (input.is(Kind::Undefined) || (truth(a[1]) && !truth(input)))
    return a[0].missing() ? Value::string("") : a[0];
  return input;
}

Value toInt(Interpreter &, const Value &input, const Arguments &given) {
  Vector<Value> a = bindArguments(given, "int", {"default", "base"}, 0);
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
  Vector<Value> a = bindArguments(given, "float", {"default"}, 0);
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
  Vector<Value> a = bindArguments(given, "round", {"precision", "method"}, 0);
  int64_t precision = a[0].missing() ? 0 : integerArgument(a[0], "round");
  String method = a[1].missing() ? "common" : textArgument(a[1], "round");
  if (method != "common" && method != "ceil" && method != "floor")
    raise("method must be common, ceil or floor");
  if (!input.isNumber()) {
    if (input.is(Kind::Undefined))
      raiseUndefined(input);
    raise(String("type ") + typeName(input) + " doesn't define __round__ method");
  }
  precision = std::min<int64_t>(std::max<int64_t>(precision, -300), 300);
  double x = input.asReal();
  if (method == "common") { // correctly rounded in decimal, as Python's round
    if (input.isIntegral() && precision >= 0)
      return Value::integer(input.asInteger());
    double result;
    Budget::spend(128); // hundreds of digits there and back
    if (precision >= 0) {
      String digits(700, 0);
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
  Vector<Value> a = bindArguments(given, "filesizeformat", {"binary"}, 0);
  bool binary = truth(a[0]);
  double base = binary ? 1024 : 1000;
  std::optional<double> size = input.isNumber()         ? std::optional<double>(input.asReal())
                               : input.is(Kind::String) ? parseReal(input.text())
                                                        : std::nullopt;
  if (!size)
    raise("could not convert to float: " + toRepr(input));
  Budget::spend(64); // hundreds of digits
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
  Vector<Value> a = bindArguments(given, "tojson", {"ensure_ascii", "indent", "separators", "sort_keys"}, 0);
  JsonStyle style;
  style.ensureAscii = truth(a[0]);
  style.sortKeys = truth(a[3]);
  if (!a[1].missing() && !a[1].is(Kind::None)) {
    style.itemSeparator = ",";
    style.lines = true;
    if (a[1].is(Kind::String))
      style.indent = a[1].text();
    else
      style.indent = String(std::min<int64_t>(std::max<int64_t>(integerArgument(a[1], "tojson"), 0), 1 << 16), ' ');
  }
  if (!a[2].missing() && !a[2].is(Kind::None)) {
    Vector<Value> separators = itemsOf(a[2]);
    if (separators.size() != 2)
      raise("tojson: expects two separators, but got " + decimal(separators.size()));
    style.itemSeparator = textArgument(separators[0], "tojson");
    style.keySeparator = textArgument(separators[1], "tojson");
  }
  return Value::string(writeJson(input, style));
}

} // namespace filters
} // namespace stepdown::jinja
