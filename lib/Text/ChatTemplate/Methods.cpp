// The methods of list, tuple, dict and numbers. Those that modify are refused, as in Jinja's immutable sandbox.
#include "lib/Text/ChatTemplate/Members.h"
#include "lib/Text/ChatTemplate/Operations.h"
#include <algorithm>
#include <cmath>
#include <memory>

namespace stepdown::jinja {

namespace {

using Given = const Arguments &;

Value getMethod(Interpreter &, const Value &self, Given g) {
  Vector<Value> a = bindArguments(g, "get", {"key", "default"}, 1);
  const Value *found = self.dictionary().find(a[0]);
  return found ? *found : a[1].missing() ? Value::none() : a[1];
}

template <int Of> Value viewMethod(Interpreter &, const Value &self, Given g) {
  bindArguments(g, "dict view", {}, 0);
  auto view = std::make_unique<ViewObject>();
  view->of = static_cast<ViewObject::Of>(Of);
  view->dict = self;
  return Value(Kind::View, view.release());
}

Value copyMethod(Interpreter &, const Value &self, Given) { return self; } // values never change

Value sequenceCount(Interpreter &, const Value &self, Given g) {
  Vector<Value> a = bindArguments(g, "count", {"value"}, 1);
  int64_t count = 0;
  for (const Value &item : self.items())
    count += equals(item, a[0]);
  return Value::integer(count);
}

Value sequenceIndex(Interpreter &, const Value &self, Given g) {
  Vector<Value> a = bindArguments(g, "index", {"value"}, 1);
  for (size_t i = 0; i < self.items().size(); ++i)
    if (equals(self.items()[i], a[0]))
      return Value::integer(static_cast<int64_t>(i));
  raise(toRepr(a[0]) + " is not in " + typeName(self));
}

Value bitLengthMethod(Interpreter &, const Value &self, Given) {
  int64_t i = self.asInteger();
  uint64_t m = i < 0 ? -static_cast<uint64_t>(i) : static_cast<uint64_t>(i);
  int64_t bits = 0;
  for (; m; m >>= 1)
    ++bits;
  return Value::integer(bits);
}

Value isIntegerMethod(Interpreter &, const Value &self, Given) {
  double f = self.asReal();
  return Value::boolean(std::isfinite(f) && f == std::floor(f));
}

const NamedMethod dictMethods[] = {{"get", getMethod},
                                   {"keys", viewMethod<0>},
                                   {"values", viewMethod<1>},
                                   {"items", viewMethod<2>},
                                   {"copy", copyMethod}};
const NamedMethod listMethods[] = {{"count", sequenceCount}, {"index", sequenceIndex}, {"copy", copyMethod}};
const NamedMethod integerMethods[] = {{"bit_length", bitLengthMethod}};
const NamedMethod floatMethods[] = {{"is_integer", isIntegerMethod}};

} // namespace

Native containerMethod(const Value &value, std::string_view name) {
  switch (value.kind()) {
  case Kind::Dict:
    return find(dictMethods, name);
  case Kind::Tuple:
    return name == "copy" ? nullptr : find(listMethods, name);
  case Kind::List:
    return find(listMethods, name);
  case Kind::Integer:
  case Kind::Bool:
    return find(integerMethods, name);
  case Kind::Float:
    return find(floatMethods, name);
  default:
    return nullptr;
  }
}

Vector<std::string_view> methodNames() {
  Vector<std::string_view> all = stringMethodNames();
  for (const Vector<std::string_view> &some :
       {namesOf(dictMethods), namesOf(listMethods), namesOf(integerMethods), namesOf(floatMethods)})
    all.insert(all.end(), some.begin(), some.end());
  return all;
}

bool modifying(const Value &value, std::string_view name) {
  static const std::string_view ofLists[] = {"append", "clear", "pop", "reverse", "insert", "sort", "extend", "remove"};
  static const std::string_view ofDicts[] = {"clear", "pop", "popitem", "setdefault", "update"};
  if (value.is(Kind::List))
    return std::find(std::begin(ofLists), std::end(ofLists), name) != std::end(ofLists);
  if (value.is(Kind::Dict))
    return std::find(std::begin(ofDicts), std::end(ofDicts), name) != std::end(ofDicts);
  return false;
}

} // namespace stepdown::jinja
