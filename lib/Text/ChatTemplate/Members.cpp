// Attributes and global functions; and the reading of arguments.
#include "lib/Text/ChatTemplate/Members.h"
#include "lib/Text/ChatTemplate/Interpreter.h"
#include <algorithm>

namespace stepdown::jinja {

Value function(Native call, std::string_view name, Value self) {
  auto object = std::make_unique<FunctionObject>();
  object->call = call;
  object->name = name;
  object->self = std::move(self);
  return Value(Kind::Function, object.release());
}

Vector<Value> bindArguments(const Arguments &given, const char *name, std::initializer_list<const char *> parameters,
                            size_t required) {
  Vector<Value> values(parameters.size());
  if (given.positional.size() > parameters.size())
    raise(String(name) + "() takes at most " + decimal(parameters.size()) + " arguments (" +
          decimal(given.positional.size()) + " given)");
  std::copy(given.positional.begin(), given.positional.end(), values.begin());
  for (const auto &[key, value] : given.named) {
    size_t i = 0;
    for (const char *parameter : parameters) {
      if (key == parameter)
        break;
      ++i;
    }
    if (i == parameters.size())
      raise(String(name) + "() got an unexpected keyword argument " + reprOf(key));
    if (!values[i].missing())
      raise(String(name) + "() got multiple values for argument " + reprOf(key));
    values[i] = value;
  }
  for (size_t i = 0; i < required; ++i)
    if (values[i].missing())
      raise(String(name) + "() missing 1 required positional argument: " + reprOf(parameters.begin()[i]));
  return values;
}

int64_t integerArgument(const Value &value, const char *name) {
  if (value.isIntegral())
    return value.asInteger();
  if (value.is(Kind::Undefined))
    raiseUndefined(value);
  raise(String(name) + ": '" + typeName(value) + "' object cannot be interpreted as an integer");
}

const String &textArgument(const Value &value, const char *name) {
  if (value.is(Kind::String))
    return value.text();
  if (value.is(Kind::Undefined))
    raiseUndefined(value);
  raise(String(name) + "() argument must be str, not " + typeName(value));
}

namespace {

Value cyclerNext(Interpreter &, const Value &self, const Arguments &) {
  auto &cycler = self.as<CyclerObject>();
  const Value item = cycler.items[cycler.position];
  cycler.position = (cycler.position + 1) % cycler.items.size();
  return item;
}

Value cyclerReset(Interpreter &, const Value &self, const Arguments &) {
  self.as<CyclerObject>().position = 0;
  return Value::none();
}

using Attribute = std::pair<std::string_view, Value (*)(const Value &)>;

const Attribute macroAttributes[] = {
    {"name",
     [](const Value &v) {
       const String &name = v.as<MacroObject>().name;
       return name.empty() ? Value::none() : Value::string(name);
     }},
    {"catch_kwargs", [](const Value &v) { return Value::boolean(v.as<MacroObject>().statement->usesKwargs); }},
    {"catch_varargs", [](const Value &v) { return Value::boolean(v.as<MacroObject>().statement->usesVarargs); }},
    {"caller", [](const Value &v) { return Value::boolean(v.as<MacroObject>().statement->usesCaller); }},
};

const Attribute cyclerAttributes[] = {
    {"current", [](const Value &v) { return v.as<CyclerObject>().items[v.as<CyclerObject>().position]; }},
    {"next", [](const Value &v) { return function(cyclerNext, "next", v); }},
    {"reset", [](const Value &v) { return function(cyclerReset, "reset", v); }},
};

const Attribute groupAttributes[] = {
    // of what groupby returns
    {"grouper", [](const Value &v) { return v.items()[0]; }},
    {"list", [](const Value &v) { return v.items()[1]; }},
};

template <size_t N> Value attributeIn(const Attribute (&table)[N], const Value &value, std::string_view name) {
  for (const auto &[known, attribute] : table)
    if (known == name)
      return attribute(value);
  return Value();
}

Value rangeFunction(Interpreter &, const Value &, const Arguments &given) {
  Vector<Value> a = bindArguments(given, "range", {"start", "stop", "step"}, 1);
  auto range = std::make_unique<RangeObject>();
  range->start = a[1].missing() ? 0 : integerArgument(a[0], "range");
  range->stop = integerArgument(a[1].missing() ? a[0] : a[1], "range");
  range->step = a[2].missing() ? 1 : integerArgument(a[2], "range");
  if (range->step == 0)
    raise("range() arg 3 must not be zero");
  if (range->length() > 100000)
    raise("Range too big. The sandbox blocks ranges larger than MAX_RANGE (100000).");
  if (range->length() == 0 || range->step > INT32_MAX ||
      range->step < -INT32_MAX) // steps over the end, without overflow
    range->step =
        range->step > 0 ? std::min<int64_t>(range->step, INT32_MAX) : std::max<int64_t>(range->step, -INT32_MAX);
  return Value(Kind::Range, range.release());
}

Value dictFunction(Interpreter &, const Value &, const Arguments &given) {
  if (given.positional.size() > 1)
    raise("dict expected at most 1 argument, got " + decimal(given.positional.size()));
  Value dict = Value::dict();
  if (!given.positional.empty()) {
    const Value &source = given.positional[0];
    if (source.is(Kind::Dict))
      for (const auto &[key, value] : source.dictionary().entries)
        dict.dictionary().set(key, value);
    else
      for (const Value &pair : itemsOf(source)) {
        Vector<Value> parts = itemsOf(pair);
        if (parts.size() != 2)
          raise("dictionary update sequence element has length " + decimal(parts.size()) + "; 2 is required");
        dict.dictionary().set(parts[0], parts[1]);
      }
  }
  for (const auto &[key, value] : given.named)
    dict.dictionary().set(Value::string(key), value);
  return dict;
}

Value namespaceFunction(Interpreter &interpreter, const Value &self, const Arguments &given) {
  Value initial = dictFunction(interpreter, self, given);
  auto space = std::make_unique<NamespaceObject>();
  for (const auto &[key, value] : initial.dictionary().entries)
    if (key.is(Kind::String))
      space->attributes.emplace_back(key.text(), value);
  return Value(Kind::Namespace, space.release());
}

Value cyclerFunction(Interpreter &, const Value &, const Arguments &given) {
  if (given.positional.empty())
    raise("at least one item has to be provided");
  auto cycler = std::make_unique<CyclerObject>();
  cycler->items = given.positional;
  return Value(Kind::Cycler, cycler.release());
}

Value joinerFunction(Interpreter &, const Value &, const Arguments &given) {
  Vector<Value> a = bindArguments(given, "joiner", {"sep"}, 0);
  auto joiner = std::make_unique<JoinerObject>();
  joiner->separator = a[0].missing() ? Value::string(", ") : a[0];
  return Value(Kind::Joiner, joiner.release());
}

Value raiseException(Interpreter &, const Value &, const Arguments &given) {
  Vector<Value> a = bindArguments(given, "raise_exception", {"message"}, 1);
  refuse(ErrorCode::TemplateRefuses, toText(a[0]));
}

Value strftimeNow(Interpreter &interpreter, const Value &, const Arguments &given) {
  Vector<Value> a = bindArguments(given, "strftime_now", {"format"}, 1);
  return Value::string(formatTime(interpreter.now(), textArgument(a[0], "strftime")));
}

const std::pair<std::string_view, Native> functions[] = {
    {"range", rangeFunction},      {"dict", dictFunction},     {"namespace", namespaceFunction},
    {"cycler", cyclerFunction},    {"joiner", joinerFunction}, {"raise_exception", raiseException},
    {"strftime_now", strftimeNow},
};

} // namespace

Value globalFunction(std::string_view name) {
  for (const auto &[known, native] : functions)
    if (known == name)
      return function(native, name);
  return Value();
}

Vector<std::string_view> functionNames() { return namesOf(functions); }

Vector<std::string_view> memberNames() {
  Vector<std::string_view> all = methodNames();
  for (const Vector<std::string_view> &some :
       {loopNames(), namesOf(macroAttributes), namesOf(cyclerAttributes), namesOf(groupAttributes)})
    all.insert(all.end(), some.begin(), some.end());
  return all;
}

Value memberOf(const Value &value, const String &name) {
  auto privateName = [&]() {
    return Value::undefined("access to attribute " + reprOf(name) + " of '" + typeName(value) + "' object is unsafe.",
                            true);
  };
  if (name.size() > 4 && name.compare(0, 2, "__") == 0 && name.compare(name.size() - 2, 2, "__") == 0)
    return privateName();
  if (modifying(value, name))
    return privateName();
  Native method = nullptr;
  switch (value.kind()) {
  case Kind::String:
    method = stringMethod(name);
    break;
  case Kind::Tuple:
    if (value.grouped())
      if (Value part = attributeIn(groupAttributes, value, name); !part.missing())
        return part;
    [[fallthrough]];
  case Kind::List:
  case Kind::Dict:
  case Kind::Integer:
  case Kind::Bool:
  case Kind::Float:
    method = containerMethod(value, name);
    break;
  case Kind::Namespace:
    Budget::spend(1 + value.as<NamespaceObject>().attributes.size() / 8 + name.size() / 64);
    for (const auto &[known, item] : value.as<NamespaceObject>().attributes)
      if (known == name)
        return item;
    return Value();
  case Kind::Loop:
    return loopAttribute(value, name);
  case Kind::Macro:
    return attributeIn(macroAttributes, value, name);
  case Kind::Cycler:
    return attributeIn(cyclerAttributes, value, name);
  default:
    return Value();
  }
  return method ? function(method, name, value) : Value();
}

} // namespace stepdown::jinja
