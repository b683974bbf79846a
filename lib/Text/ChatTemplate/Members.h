// Attributes and methods of the built-in types, and the loop variable.
#pragma once
#include "lib/Text/ChatTemplate/Value.h"

namespace stepdown::jinja {

/// The names of a table of (name, ...).
template <typename Row, size_t N> Vector<std::string_view> namesOf(const Row (&table)[N]) {
  Vector<std::string_view> names;
  for (const Row &row : table)
    names.push_back(row.first);
  return names;
}

/// What a table of (name, function) has under `name`, or null.
template <typename Function, size_t N>
Function find(const std::pair<std::string_view, Function> (&table)[N], std::string_view name) {
  for (const auto &[known, function] : table)
    if (known == name)
      return function;
  return nullptr;
}
using NamedMethod = std::pair<std::string_view, Native>;

/// All global functions, and all names that memberOf knows for some kind of value; TemplateBudgetTest goes through
/// them.
Vector<std::string_view> functionNames();
Vector<std::string_view> memberNames();
/// Parts of memberNames().
Vector<std::string_view> methodNames();
Vector<std::string_view> stringMethodNames();
Vector<std::string_view> loopNames();

/// A function bound to `self` (Missing for a global one).
Value function(Native call, std::string_view name, Value self = Value());

/// The method of a string (StringMethods.cpp), of a list, tuple, dictionary or number (Methods.cpp), or null. Names
/// that would modify a list or a dictionary are in `modifying`.
Native stringMethod(std::string_view name);
Native containerMethod(const Value &value, std::string_view name);
bool modifying(const Value &value, std::string_view name);

/// The loop variable (Loop.cpp).
int64_t loopLength(const Value &loop);
Vector<Value> loopRest(const Value &loop);
Value loopAttribute(const Value &loop, std::string_view name);

/// Reads the arguments of a call by position or name: one Value a parameter, Missing where not given.
/// "join() got an unexpected keyword argument 'x'", "replace expected at least 2 arguments, got 1".
Vector<Value> bindArguments(const Arguments &arguments, const char *function,
                            std::initializer_list<const char *> parameters, size_t required);

/// Checked readings of one argument.
int64_t integerArgument(const Value &value, const char *function);
const String &textArgument(const Value &value, const char *function);

} // namespace stepdown::jinja
