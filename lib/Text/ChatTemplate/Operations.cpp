// Truth, equality, order, arithmetic, iteration.
#include "lib/Text/ChatTemplate/Operations.h"
#include "lib/Text/ChatTemplate/Text.h"
#include <algorithm>
#include <cmath>

namespace stepdown::jinja {

namespace {

String quoted(const Value &value) { return String("'") + typeName(value) + "'"; }

void refuseUndefined(const Value &value) {
  if (value.is(Kind::Undefined))
    raiseUndefined(value);
}

[[noreturn]] void unsupported(const char *symbol, const Value &a, const Value &b) {
  refuseUndefined(a);
  refuseUndefined(b);
  raise(String("unsupported operand type(s) for ") + symbol + ": " + quoted(a) + " and " + quoted(b));
}

[[noreturn]] void tooLarge() { raise("expects integers within 64 bits, but a result is larger"); }

Value wide(__int128 i) {
  if (i < INT64_MIN || i > INT64_MAX)
    tooLarge();
  return Value::integer(static_cast<int64_t>(i));
}

Value repeat(const Value &value, int64_t times) {
  times = std::max<int64_t>(times, 0);
  if (value.is(Kind::String)) {
    const String &text = value.text();
    return Value::string(repeated(text, times), value.markup());
  }
  const Vector<Value> &items = value.items();
  Vector<Value> out;
  if (!items.empty() && times > 0) {
    if (static_cast<uint64_t>(times) > SIZE_MAX / sizeof(Value) / items.size())
      Budget::require(SIZE_MAX);
    Budget::require(items.size() * times * sizeof(Value));
    Budget::spend(items.size() * times / 4);
    out.reserve(items.size() * times);
    for (int64_t i = 0; i < times; ++i)
      out.insert(out.end(), items.begin(), items.end());
  }
  return value.is(Kind::List) ? Value::list(std::move(out)) : Value::tuple(std::move(out));
}

Value add(const Value &a, const Value &b) {
  if (a.is(Kind::String) && b.is(Kind::String)) {
    if (a.markup() || b.markup())
      return Value::string(escaped(a) + escaped(b), true);
    return Value::string(a.text() + b.text());
  }
  if (a.isSequence() && b.kind() == a.kind()) {
    Vector<Value> items;
    items.reserve(a.items().size() + b.items().size());
    items = a.items();
    items.insert(items.end(), b.items().begin(), b.items().end());
    return a.is(Kind::List) ? Value::list(std::move(items)) : Value::tuple(std::move(items));
  }
  refuseUndefined(a);
  refuseUndefined(b);
  if (a.is(Kind::String))
    raise("can only concatenate str (not \"" + String(typeName(b)) + "\") to str");
  if (a.isSequence())
    raise(String("can only concatenate ") + typeName(a) + " (not \"" + typeName(b) + "\") to " + typeName(a));
  unsupported("+", a, b);
}

double floorModulo(double a, double b) {
  double r = std::fmod(a, b);
  if (r != 0 && (r < 0) != (b < 0))
    r += b;
  return r == 0 ? std::copysign(0.0, b) : r;
}

Value power(const Value &a, const Value &b) {
  if (a.isIntegral() && b.isIntegral() && b.asInteger() >= 0) {
    __int128 result = 1, base = a.asInteger();
    for (int64_t n = b.asInteger(); n > 0; n >>= 1) {
      if (n & 1)
        result = wide(result * base).asInteger();
      if (n > 1) {
        if (base > INT32_MAX * 2ll || base < -INT32_MAX * 2ll)
          tooLarge();
        base *= base;
      }
    }
    return wide(result);
  }
  if (a.asReal() == 0 && b.asReal() < 0)
    raise("0.0 cannot be raised to a negative power");
  double result = std::pow(a.asReal(), b.asReal());
  if (std::isnan(result) && !std::isnan(a.asReal()) && !std::isnan(b.asReal()))
    raise("expects a real result of **, but a negative number is raised to a fraction");
  if (std::isinf(result) && std::isfinite(a.asReal()) && std::isfinite(b.asReal()))
    raise("(34, 'Numerical result out of range')");
  return Value::real(result);
}

Value integers(Binary op, __int128 x, __int128 y) {
  switch (op) {
  case Binary::Add:
    return wide(x + y);
  case Binary::Subtract:
    return wide(x - y);
  case Binary::Multiply:
    return wide(x * y);
  case Binary::Divide:
    if (y == 0)
      raise("division by zero");
    return Value::real(static_cast<double>(x) / static_cast<double>(y));
  default:
    break;
  }
  if (y == 0)
    raise("integer division or modulo by zero");
  __int128 quotient = x / y, rest = x % y;
  if (rest != 0 && (rest < 0) != (y < 0)) {
    --quotient;
    rest += y;
  }
  return wide(op == Binary::FloorDivide ? quotient : rest);
}

Value reals(Binary op, double x, double y) {
  switch (op) {
  case Binary::Add:
    return Value::real(x + y);
  case Binary::Subtract:
    return Value::real(x - y);
  case Binary::Multiply:
    return Value::real(x * y);
  case Binary::Divide:
    if (y == 0)
      raise("float division by zero");
    return Value::real(x / y);
  case Binary::FloorDivide:
    if (y == 0)
      raise("float floor division by zero");
    {
      double quotient = (x - floorModulo(x, y)) / y, whole = std::floor(quotient);
      return Value::real(quotient - whole > 0.5 ? whole + 1 : whole);
    }
  default:
    if (y == 0)
      raise("float modulo");
    return Value::real(floorModulo(x, y));
  }
}

} // namespace

void raiseUndefined(const Value &value) {
  refuse(value.security() ? ErrorCode::TemplateSandbox : ErrorCode::TemplateOperation, value.text());
}

bool truth(const Value &value) {
  switch (value.kind()) {
  case Kind::Missing:
  case Kind::Undefined:
  case Kind::None:
    return false;
  case Kind::Bool:
  case Kind::Integer:
    return value.asInteger() != 0;
  case Kind::Float:
    return value.asReal() != 0;
  case Kind::Generator:
    return true;
  default:
    std::optional<int64_t> length = lengthOf(value);
    return !length || *length > 0;
  }
}

bool equals(const Value &a, const Value &b) {
  Budget::spend(1);
  if (a.isNumber() && b.isNumber()) {
    if (a.isIntegral() && b.isIntegral())
      return a.asInteger() == b.asInteger();
    return a.asReal() == b.asReal();
  }
  if (a.kind() != b.kind())
    return false;
  switch (a.kind()) {
  case Kind::Missing:
  case Kind::Undefined:
  case Kind::None:
    return true;
  case Kind::String:
  case Kind::Big:
    if (a.text().size() != b.text().size())
      return false;
    Budget::spendBytes(a.text().size());
    return a.text() == b.text();
  default:
    break;
  }
  if (a.identity() == b.identity())
    return true;
  Nesting guard;
  if (a.isSequence()) {
    if (a.items().size() != b.items().size())
      return false;
    for (size_t i = 0; i < a.items().size(); ++i)
      if (!equals(a.items()[i], b.items()[i]))
        return false;
    return true;
  }
  if (a.is(Kind::Dict)) {
    if (a.dictionary().entries.size() != b.dictionary().entries.size())
      return false;
    for (const auto &[key, value] : a.dictionary().entries) {
      const Value *other = b.dictionary().find(key);
      if (!other || !equals(value, *other))
        return false;
    }
    return true;
  }
  if (a.is(Kind::Range)) {
    auto &x = a.as<RangeObject>(), &y = b.as<RangeObject>();
    return x.length() == y.length() &&
           (x.length() == 0 || (x.start == y.start && (x.length() == 1 || x.step == y.step)));
  }
  if (a.is(Kind::View) && a.as<ViewObject>().of != ViewObject::Of::Values) {
    Vector<Value> x = itemsOf(a), y = itemsOf(b);
    return x.size() == y.size() && std::all_of(x.begin(), x.end(), [&](const Value &v) { return contains(b, v); });
  }
  return false;
}

bool less(const Value &a, const Value &b, const char *symbol) {
  Budget::spend(1);
  if (a.isNumber() && b.isNumber()) {
    if (a.isIntegral() && b.isIntegral())
      return a.asInteger() < b.asInteger();
    return a.asReal() < b.asReal();
  }
  if (a.is(Kind::String) && b.is(Kind::String)) { // UTF-8 keeps the order of code points
    Budget::spendBytes(std::min(a.text().size(), b.text().size()));
    return a.text() < b.text();
  }
  if (a.isSequence() && a.kind() == b.kind()) {
    Nesting guard;
    for (size_t i = 0; i < a.items().size() && i < b.items().size(); ++i)
      if (!equals(a.items()[i], b.items()[i]))
        return less(a.items()[i], b.items()[i], symbol);
    return a.items().size() < b.items().size();
  }
  refuseUndefined(a);
  refuseUndefined(b);
  bool swapped = symbol == std::string_view(">") || symbol == std::string_view("<="); // asked as b < a
  raise(String("'") + symbol + "' not supported between instances of " + quoted(swapped ? b : a) + " and " +
        quoted(swapped ? a : b));
}

bool compare(Comparison how, const Value &a, const Value &b) {
  bool unordered = a.isNumber() && b.isNumber() && (std::isnan(a.asReal()) || std::isnan(b.asReal()));
  switch (how) {
  case Comparison::Equal:
    return equals(a, b);
  case Comparison::NotEqual:
    return !equals(a, b);
  case Comparison::Less:
    return less(a, b, "<");
  case Comparison::Greater:
    return less(b, a, ">");
  case Comparison::LessEqual:
    return !unordered && !less(b, a, "<=");
  case Comparison::GreaterEqual:
    return !unordered && !less(a, b, ">=");
  case Comparison::In:
    return contains(b, a);
  case Comparison::NotIn:
    return !contains(b, a);
  }
  return false;
}

bool contains(const Value &container, const Value &item) {
  switch (container.kind()) {
  case Kind::String:
    if (!item.is(Kind::String))
      raise("'in <string>' requires string as left operand, not " + String(typeName(item)));
    return findText(container.text(), item.text()) != String::npos;
  case Kind::Dict:
    return container.dictionary().find(item) != nullptr;
  case Kind::View:
    if (container.as<ViewObject>().of == ViewObject::Of::Keys)
      return contains(container.as<ViewObject>().dict, item);
    break;
  default:
    if (!isIterable(container))
      raise("argument of type " + quoted(container) + " is not iterable");
  }
  for (const Value &other : itemsOf(container))
    if (equals(other, item))
      return true;
  return false;
}

Value binary(Binary op, const Value &a, const Value &b) {
  static const char *const symbols[] = {"+", "-", "*", "/", "//", "%", "** or pow()"};
  if (a.isNumber() && b.isNumber()) {
    if (op == Binary::Power)
      return power(a, b);
    if (a.isIntegral() && b.isIntegral())
      return integers(op, a.asInteger(), b.asInteger());
    return reals(op, a.asReal(), b.asReal());
  }
  if (op == Binary::Add)
    return add(a, b);
  if (op == Binary::Multiply) {
    bool left = a.is(Kind::String) || a.isSequence(), right = b.is(Kind::String) || b.isSequence();
    if (left && b.isIntegral())
      return repeat(a, b.asInteger());
    if (right && a.isIntegral())
      return repeat(b, a.asInteger());
    if ((left || right) && !a.is(Kind::Undefined) && !b.is(Kind::Undefined))
      raise("can't multiply sequence by non-int of type " + quoted(left ? b : a));
  }
  if (op == Binary::Modulo && a.is(Kind::String))
    return formatPercent(a, b);
  unsupported(symbols[static_cast<int>(op)], a, b);
}

Value negate(const Value &value) {
  if (value.isIntegral())
    return wide(-static_cast<__int128>(value.asInteger()));
  if (value.is(Kind::Float))
    return Value::real(-value.asReal());
  refuseUndefined(value);
  raise("bad operand type for unary -: " + quoted(value));
}

Value positive(const Value &value) {
  if (value.isIntegral())
    return Value::integer(value.asInteger());
  if (value.is(Kind::Float))
    return value;
  refuseUndefined(value);
  raise("bad operand type for unary +: " + quoted(value));
}

void sortStable(Vector<std::pair<Value, Value>> &keyed, bool reverse) {
  // Bottom-up merges; with `reverse`, equal elements keep their order too, as in Python.
  Vector<std::pair<Value, Value>> buffer(keyed.size());
  auto before = [&](const Value &a, const Value &b) { return reverse ? less(b, a) : less(a, b); };
  for (size_t width = 1; width < keyed.size(); width *= 2) {
    for (size_t begin = 0; begin < keyed.size(); begin += 2 * width) {
      size_t i = begin, middle = std::min(begin + width, keyed.size()), j = middle;
      size_t end = std::min(begin + 2 * width, keyed.size());
      for (size_t out = begin; out < end; ++out) {
        bool right = i == middle || (j < end && before(keyed[j].first, keyed[i].first));
        buffer[out] = std::move(keyed[right ? j++ : i++]);
      }
    }
    keyed.swap(buffer);
  }
}

} // namespace stepdown::jinja
