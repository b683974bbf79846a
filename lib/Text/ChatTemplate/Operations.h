// What the operators of the language do to values, with Python's meaning and Python's words for what is refused.
#pragma once
#include "lib/Text/ChatTemplate/Value.h"
#include <optional>

namespace stepdown::jinja {

enum class Binary : uint8_t { Add, Subtract, Multiply, Divide, FloorDivide, Modulo, Power };
enum class Comparison : uint8_t { Equal, NotEqual, Less, LessEqual, Greater, GreaterEqual, In, NotIn };

/// Uses an undefined value: raises what it stands for.
[[noreturn]] void raiseUndefined(const Value &undefined);

bool truth(const Value &value);
bool equals(const Value &a, const Value &b);
/// a < b, as far as the types have an order.
bool less(const Value &a, const Value &b, const char *symbol = "<");
bool compare(Comparison how, const Value &a, const Value &b);
bool contains(const Value &container, const Value &item);
Value binary(Binary op, const Value &a, const Value &b);
Value negate(const Value &value);
Value positive(const Value &value);

/// len(value), where it has one.
std::optional<int64_t> lengthOf(const Value &value);
int64_t requireLength(const Value &value);
/// The items in order; a generator is used up. "'int' object is not iterable".
Vector<Value> itemsOf(const Value &value);
bool isIterable(const Value &value);
/// Stable merge sort by `less` (which may refuse).
void sortStable(Vector<std::pair<Value, Value>> &keyed, bool reverse);

/// str(value) and repr(value).
String toText(const Value &value);
void appendText(String &out, const Value &value);
String toRepr(const Value &value);
String reprOf(std::string_view text);
String floatRepr(double f);
/// HTML escape of anything: markup stays as it is.
String escaped(const Value &value);

/// value.name and value[key] (attribute first, item first); undefined where there is neither.
Value attributeOf(const Value &value, const String &name);
Value itemOf(const Value &value, const Value &key);
/// value[start:stop:step]; Missing or None for a bound left out.
Value sliceOf(const Value &value, const Value &start, const Value &stop, const Value &step);
/// The method or property that `value` has by that name, or Missing.
Value memberOf(const Value &value, const String &name);

/// Integers from numbers and text as int() and float() read them; nullopt where Python raises ValueError.
std::optional<int64_t> parseInteger(std::string_view text, int base);
std::optional<double> parseReal(std::string_view text);

/// text % arguments.
Value formatPercent(const Value &text, const Value &arguments);
/// str.format.
String formatBraces(const Value &text, const Arguments &arguments);
/// format(value, specification).
String formatValue(const Value &value, std::string_view specification);

} // namespace stepdown::jinja
