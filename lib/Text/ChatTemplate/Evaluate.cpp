// Expressions.
#include "lib/Text/ChatTemplate/Interpreter.h"
#include "lib/Text/ChatTemplate/Members.h"

namespace stepdown::jinja {

namespace {
/// Outside the budget, which may be the reason to say it.
std::string quoted(const char *before, std::string_view name) {
  return std::string(before).append(name.substr(0, 80)).append("'");
}
} // namespace

Value Interpreter::lookUp(int symbol) {
  size_t looked = 0; // variables and scopes not yet paid for
  for (const Value *at = &scope; !at->missing();) {
    auto &object = at->as<ScopeObject>();
    looked += 2 + object.variables.size();
    if (looked >= 16) {
      Budget::spend(looked / 16);
      looked = 0;
    }
    for (const auto &[name, value] : object.variables)
      if (name == symbol)
        return value;
    at = &object.parent;
  }
  Value &global = globals[symbol];
  if (global.missing()) {
    const String &name = tree.symbols[symbol];
    const Value *given = context.dictionary().find(std::string_view(name));
    global = given ? *given : globalFunction(name);
    if (global.missing())
      global = Value::undefined(reprOf(name) + " is undefined");
  }
  return global;
}

Value Interpreter::literal(int number) {
  Value &value = literals[number];
  if (value.missing()) {
    const Literal &constant = tree.literals[number];
    switch (constant.kind) {
    case Kind::Bool:
      value = Value::boolean(constant.integer != 0);
      break;
    case Kind::Integer:
      value = Value::integer(constant.integer);
      break;
    case Kind::Float:
      value = Value::real(constant.real);
      break;
    case Kind::Big:
      value = Value::big(constant.text);
      break;
    case Kind::String:
      value = Value::string(constant.text);
      break;
    default:
      value = Value::none();
    }
  }
  return value;
}

Value Interpreter::evaluate(const Expression &e) {
  Level level(*this);
  const auto &child = e.children;
  switch (e.kind) {
  case ExpressionKind::Literal:
    return literal(e.number);
  case ExpressionKind::Name:
    return lookUp(e.number);
  case ExpressionKind::List:
    return Value::list(evaluateAll(child));
  case ExpressionKind::Tuple:
    return Value::tuple(evaluateAll(child));
  case ExpressionKind::Dict:
    return evaluateDict(e);
  case ExpressionKind::Attribute:
    return attributeOf(evaluate(*child[0]), e.text);
  case ExpressionKind::Item: {
    Value object = evaluate(*child[0]);
    return itemOf(object, evaluate(*child[1]));
  }
  case ExpressionKind::Slice:
    return evaluateSlice(e);
  case ExpressionKind::Call:
    return evaluateCall(e);
  case ExpressionKind::Filter:
    return evaluateFilter(e);
  case ExpressionKind::Test:
    return evaluateTest(e);
  case ExpressionKind::Not:
    return Value::boolean(!truth(evaluate(*child[0])));
  case ExpressionKind::Negate:
    return negate(evaluate(*child[0]));
  case ExpressionKind::Positive:
    return positive(evaluate(*child[0]));
  case ExpressionKind::And: {
    Value left = evaluate(*child[0]);
    return truth(left) ? evaluate(*child[1]) : left;
  }
  case ExpressionKind::Or: {
    Value left = evaluate(*child[0]);
    return truth(left) ? left : evaluate(*child[1]);
  }
  case ExpressionKind::Conditional:
    if (truth(evaluate(*child[0])))
      return evaluate(*child[1]);
    if (child[2])
      return evaluate(*child[2]);
    return Value::undefined("the inline if-expression on line " + decimal(e.line) +
                            " evaluated to false and no else section was defined.");
  case ExpressionKind::Binary: {
    Value left = evaluate(*child[0]);
    return binary(static_cast<Binary>(e.number), left, evaluate(*child[1]));
  }
  case ExpressionKind::Concat:
    return evaluateConcat(e);
  case ExpressionKind::Compare:
    return evaluateCompare(e);
  }
  return Value();
}

Vector<Value> Interpreter::evaluateAll(const Vector<ExpressionPtr> &expressions) {
  Vector<Value> values;
  values.reserve(expressions.size());
  for (const ExpressionPtr &e : expressions)
    values.push_back(evaluate(*e));
  return values;
}

Value Interpreter::evaluateDict(const Expression &e) {
  Value dict = Value::dict();
  for (size_t i = 0; i < e.children.size(); i += 2) {
    Value key = evaluate(*e.children[i]);
    dict.dictionary().set(std::move(key), evaluate(*e.children[i + 1]));
  }
  return dict;
}

Value Interpreter::evaluateSlice(const Expression &e) {
  Value object = evaluate(*e.children[0]), bounds[3];
  for (int i = 0; i < 3; ++i)
    if (e.children[i + 1])
      bounds[i] = evaluate(*e.children[i + 1]);
  return sliceOf(object, bounds[0], bounds[1], bounds[2]);
}

Value Interpreter::evaluateConcat(const Expression &e) {
  String text;
  bool markup = false;
  Vector<Value> parts = evaluateAll(e.children);
  if (escaping)
    for (const Value &part : parts)
      markup |= part.is(Kind::String) && part.markup();
  for (const Value &part : parts) {
    if (markup)
      text += escaped(part);
    else
      appendText(text, part);
  }
  return Value::string(std::move(text), markup);
}

Value Interpreter::evaluateCompare(const Expression &e) {
  Value left = evaluate(*e.children[0]);
  for (size_t i = 0; i < e.comparisons.size(); ++i) {
    Value right = evaluate(*e.children[i + 1]);
    if (!compare(e.comparisons[i], left, right))
      return Value::boolean(false);
    left = std::move(right);
  }
  return Value::boolean(true);
}

Arguments Interpreter::arguments(const CallArguments &call) {
  Arguments values;
  values.positional = evaluateAll(call.positional);
  for (const auto &[name, e] : call.named)
    values.named.emplace_back(name, evaluate(*e));
  if (call.spread)
    for (Value &item : itemsOf(evaluate(*call.spread)))
      values.positional.push_back(std::move(item));
  if (call.spreadNamed) {
    Value dict = evaluate(*call.spreadNamed);
    if (!dict.is(Kind::Dict))
      raise(String("argument after ** must be a mapping, not ") + typeName(dict));
    for (const auto &[key, value] : dict.dictionary().entries) {
      if (!key.is(Kind::String))
        raise("keywords must be strings");
      values.named.emplace_back(key.text(), value);
    }
  }
  return values;
}

Value Interpreter::call(const Value &callable, const Arguments &given) {
  Level level(*this);
  switch (callable.kind()) {
  case Kind::Function:
    return callable.as<FunctionObject>().call(*this, callable.as<FunctionObject>().self, given);
  case Kind::Macro:
    return callMacro(callable, given);
  case Kind::Loop:
    return recurse(callable, bindArguments(given, "loop", {"iterable"}, 1)[0]);
  case Kind::Joiner: {
    auto &joiner = callable.as<JoinerObject>();
    bool first = !joiner.used;
    joiner.used = true;
    return first ? Value::string("") : joiner.separator;
  }
  case Kind::Undefined:
    raiseUndefined(callable);
  default:
    raise(String("'") + typeName(callable) + "' object is not callable");
  }
}

Value Interpreter::evaluateCall(const Expression &e) {
  Value callee = evaluate(*e.children[0]);
  Arguments given = arguments(e.call);
  try {
    return call(callee, given);
  } catch (Refusal &refusal) {
    if (refusal.construct.empty() && callee.is(Kind::Function))
      refusal.construct = std::string(callee.as<FunctionObject>().name).append("()");
    if (refusal.line == 0)
      refusal.line = e.line;
    throw;
  }
}

Value Interpreter::evaluateFilter(const Expression &e) {
  Value input = evaluate(*e.children[0]);
  Arguments given = arguments(e.call);
  try {
    if (!e.filter)
      raise("No filter named " + reprOf(e.text) + " found.");
    return e.filter(*this, input, given);
  } catch (Refusal &refusal) {
    if (refusal.construct.empty())
      refusal.construct = quoted("filter '", e.text);
    if (refusal.line == 0)
      refusal.line = e.line;
    throw;
  }
}

Value Interpreter::evaluateTest(const Expression &e) {
  Value input = evaluate(*e.children[0]);
  Arguments given = arguments(e.call);
  try {
    if (!e.test)
      raise("No test named " + reprOf(e.text) + " found.");
    return Value::boolean(e.test(*this, input, given));
  } catch (Refusal &refusal) {
    if (refusal.construct.empty())
      refusal.construct = quoted("test '", e.text);
    if (refusal.line == 0)
      refusal.line = e.line;
    throw;
  }
}

Value Interpreter::callFilter(const String &name, const Value &input, const Arguments &given) {
  Level level(*this);
  FilterFunction filter = findFilter(name);
  if (!filter)
    raise("No filter named " + reprOf(name) + ".");
  return filter(*this, input, given);
}

bool Interpreter::callTest(const String &name, const Value &input, const Arguments &given) {
  Level level(*this);
  TestFunction test = findTest(name);
  if (!test)
    raise("No test named " + reprOf(name) + ".");
  return test(*this, input, given);
}

} // namespace stepdown::jinja
