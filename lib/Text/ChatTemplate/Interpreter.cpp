// Statements.
#include "lib/Text/ChatTemplate/Interpreter.h"
#include "lib/Text/ChatTemplate/Members.h"

namespace stepdown::jinja {

namespace {
// Where the stack has come to. The address of a variable would not say it under ASan, which keeps variables elsewhere.
[[gnu::always_inline]] inline const char *frameAddress() {
  return static_cast<const char *>(__builtin_frame_address(0));
}

constexpr ptrdiff_t stackBytes = 3 << 20; // of the thread's stack, whatever a level takes

const char *constructName(StatementKind kind) {
  switch (kind) {
  case StatementKind::If:
    return "{% if %}";
  case StatementKind::For:
    return "{% for %}";
  case StatementKind::Set:
  case StatementKind::SetBlock:
    return "{% set %}";
  case StatementKind::With:
    return "{% with %}";
  case StatementKind::Macro:
    return "{% macro %}";
  case StatementKind::Call:
    return "{% call %}";
  case StatementKind::Filter:
    return "{% filter %}";
  default:
    return "{{ }}";
  }
}

} // namespace

Interpreter::Level::Level(Interpreter &i) : interpreter(i) {
  Budget::spend(1);
  ptrdiff_t used = i.stackBase - frameAddress();
  if (++i.depth > i.options.limits.depth || used > stackBytes || used < -stackBytes) {
    --i.depth;
    refuse(ErrorCode::TemplateDepth,
           "expects at most " + decimal(i.options.limits.depth) + " nested levels, but the template goes deeper");
  }
}

namespace {
Value makeScope(Value parent) {
  auto object = std::make_unique<ScopeObject>();
  object->parent = std::move(parent);
  return Value(Kind::Namespace, object.release());
}
} // namespace

Interpreter::Scope::Scope(Interpreter &i, Value parent) : interpreter(i) {
  Value inner = makeScope(std::move(parent));
  outer = std::move(i.scope);
  i.scope = std::move(inner);
}

void Interpreter::Scope::renew(const Value &parent) {
  if (interpreter.scope.unique())
    interpreter.scope.as<ScopeObject>().variables.clear();
  else
    interpreter.scope = makeScope(parent);
}

Interpreter::Scope::~Scope() { interpreter.scope = std::move(outer); }

Interpreter::Interpreter(const SyntaxTree &tree, const Value &context, const RenderOptions &options)
    : tree(tree), context(context), options(options), literals(tree.literals.size()), globals(tree.symbols.size()) {}

String Interpreter::run() {
  stackBase = frameAddress();
  String text;
  output = &text;
  Scope root(*this, Value());
  run(tree.body);
  return text;
}

std::tm Interpreter::now() const {
  if (options.nowSet)
    return options.now;
  std::time_t seconds = std::time(nullptr);
  std::tm local{};
  localtime_r(&seconds, &local);
  return local;
}

void Interpreter::write(std::string_view text) {
  Budget::spendBytes(text.size());
  if (text.size() > options.limits.outputBytes || output->size() > options.limits.outputBytes - text.size())
    refuse(ErrorCode::TemplateOutput,
           "expects a text of at most " + decimal(options.limits.outputBytes) + " bytes, but the template writes more");
  *output += text;
}

void Interpreter::write(const Value &value) {
  if (escaping)
    write(escaped(value));
  else if (value.is(Kind::String))
    write(value.text());
  else
    write(toText(value));
}

Interpreter::Flow Interpreter::run(const Body &body) {
  for (const auto &s : body) {
    Flow flow;
    try {
      flow = execute(*s);
    } catch (Refusal &refusal) {
      if (refusal.line == 0)
        refusal.line = s->line;
      if (refusal.construct.empty())
        refusal.construct = constructName(s->kind);
      throw;
    }
    if (flow != Flow::Normal)
      return flow;
  }
  return Flow::Normal;
}

Interpreter::Flow Interpreter::executeScoped(const Body &body) {
  Scope inner(*this, scope);
  return run(body);
}

String Interpreter::capture(const Body &body) {
  Captured here(*this);
  executeScoped(body);
  return std::move(here.text);
}

Interpreter::Flow Interpreter::execute(const Statement &s) {
  Level level(*this);
  switch (s.kind) {
  case StatementKind::Data:
    write(s.text);
    break;
  case StatementKind::Output:
    write(evaluate(*s.expression));
    break;
  case StatementKind::If:
    for (const auto &[condition, body] : s.branches)
      if (!condition || truth(evaluate(*condition)))
        return run(body);
    break;
  case StatementKind::For:
    return executeFor(s, evaluate(*s.expression), 0);
  case StatementKind::Set:
    assign(s.target, evaluate(*s.expression));
    break;
  case StatementKind::SetBlock: {
    Value text = Value::string(capture(s.body), escaping);
    assign(s.target, s.filter ? filtered(*s.filter, text) : text);
    break;
  }
  case StatementKind::With: {
    Vector<Value> values = evaluateAll(s.values); // outside the new scope
    Scope inner(*this, scope);
    for (size_t i = 0; i < s.targets.size(); ++i)
      assign(s.targets[i], values[i]);
    return run(s.body);
  }
  case StatementKind::Macro:
    store(s.target.symbol, macroValue(s, s.text));
    break;
  case StatementKind::Call:
    executeCall(s);
    break;
  case StatementKind::Filter:
    write(toText(filtered(*s.filter, Value::string(capture(s.body), escaping))));
    break;
  case StatementKind::Scope:
    return executeScoped(s.body);
  case StatementKind::Escape: {
    struct Restore {
      bool &place, value;
      ~Restore() { place = value; }
    } restore{escaping, escaping};
    escaping = truth(evaluate(*s.expression));
    return executeScoped(s.body);
  }
  case StatementKind::Break:
    return Flow::Break;
  case StatementKind::Continue:
    return Flow::Continue;
  }
  return Flow::Normal;
}

void Interpreter::store(int symbol, Value value) {
  auto &variables = scope.as<ScopeObject>().variables;
  Budget::spend(1 + variables.size() / 16);
  for (auto &[name, old] : variables)
    if (name == symbol) {
      old = std::move(value);
      return;
    }
  variables.emplace_back(symbol, std::move(value));
}

void Interpreter::assign(const Target &target, const Value &value) {
  if (target.tuple) {
    Vector<Value> items = itemsOf(value);
    size_t wanted = target.parts.size();
    if (items.size() > wanted)
      raise("too many values to unpack (expected " + decimal(wanted) + ")");
    if (items.size() < wanted)
      raise("not enough values to unpack (expected " + decimal(wanted) + ", got " + decimal(items.size()) + ")");
    for (size_t i = 0; i < wanted; ++i)
      assign(target.parts[i], items[i]);
    return;
  }
  if (target.attribute.empty()) {
    store(target.symbol, value);
    return;
  }
  Value space = lookUp(target.symbol);
  if (!space.is(Kind::Namespace))
    raise("cannot assign attribute on non-namespace object");
  auto &attributes = space.as<NamespaceObject>().attributes;
  Budget::spend(1 + attributes.size() / 8 + target.attribute.size() / 64);
  for (auto &[name, old] : attributes)
    if (name == target.attribute) {
      old = value;
      return;
    }
  attributes.emplace_back(target.attribute, value);
}

Interpreter::Flow Interpreter::executeFor(const Statement &s, const Value &items, int depth0) {
  auto object = std::make_unique<LoopObject>();
  LoopObject &state = *object;
  Value loop(Kind::Loop, object.release());
  state.interpreter = this;
  state.statement = &s;
  state.scope = scope;
  state.items = itemsOf(items);
  state.depth0 = depth0;
  if (!s.condition && s.usesLoop)
    state.length = static_cast<int64_t>(state.items.size());
  bool any = false;
  for (Scope inner(*this, state.scope); state.advance(); inner.renew(state.scope)) {
    any = true;
    if (s.usesLoop)
      store(tree.loopSymbol, loop);
    assign(s.target, state.current);
    Budget::spend(2);
    if (run(s.body) == Flow::Break)
      break;
  }
  state.scope = Value(); // a loop variable that outlives its loop does not keep the scope
  return any ? Flow::Normal : executeScoped(s.otherwise);
}

bool Interpreter::passesCondition(const Statement &s, const Value &outer, const Value &item) {
  Level level(*this);
  Scope inner(*this, outer);
  assign(s.target, item);
  return truth(evaluate(*s.condition));
}

Value Interpreter::recurse(const Value &loop, const Value &items) {
  auto &state = loop.as<LoopObject>();
  if (!state.statement->recursive)
    raise("The loop must have the 'recursive' marker to be called recursively.");
  if (state.scope.missing())
    raise("expects a loop that still runs, but it has ended");
  Level level(*this);
  Captured here(*this);
  Value base = state.scope;
  const Statement &statement = *state.statement;
  int depth0 = state.depth0 + 1;
  Scope inner(*this, base);
  executeFor(statement, items, depth0);
  return Value::string(std::move(here.text), escaping);
}

Value Interpreter::macroValue(const Statement &s, String name) {
  auto macro = std::make_unique<MacroObject>();
  macro->statement = &s;
  macro->scope = scope;
  macro->name = std::move(name);
  return Value(Kind::Macro, macro.release());
}

void Interpreter::executeCall(const Statement &s) {
  const Expression &call = *s.expression;
  Value callee = evaluate(*call.children[0]);
  Arguments values = arguments(call.call);
  values.named.emplace_back("caller", macroValue(s, ""));
  write(this->call(callee, values));
}

Value Interpreter::callMacro(const Value &value, const Arguments &given) {
  auto &macro = value.as<MacroObject>();
  const Statement &s = *macro.statement;
  String shown = macro.name.empty() ? "None" : reprOf(macro.name);
  size_t count = s.parameters.size();
  Value defined = macro.scope;
  Captured here(*this);
  Scope inner(*this, defined);
  Vector<std::pair<String, Value>> named = given.named;
  auto take = [&](const String &name) -> Value {
    Budget::spend(1 + named.size() / 4);
    for (size_t i = 0; i < named.size(); ++i)
      if (named[i].first == name) {
        Value found = std::move(named[i].second);
        named.erase(named.begin() + i);
        return found;
      }
    return Value();
  };
  // All given arguments first: a default may refer to any of them.
  bool explicitCaller = false;
  Vector<bool> bound(count);
  for (size_t i = 0; i < count; ++i) {
    const String &name = tree.symbols[s.parameters[i]];
    explicitCaller |= name == "caller";
    Value argument = i < given.positional.size() ? given.positional[i] : take(name);
    bound[i] = !argument.missing();
    if (bound[i])
      store(s.parameters[i], std::move(argument));
  }
  if (s.usesCaller && !explicitCaller) {
    Value caller = take("caller");
    store(tree.callerSymbol, caller.missing() ? Value::undefined("No caller defined") : caller);
  }
  if (s.usesKwargs) {
    Value rest = Value::dict();
    for (auto &[name, argument] : named)
      rest.dictionary().set(Value::string(name), argument);
    store(tree.kwargsSymbol, rest);
  } else if (!named.empty()) {
    for (const auto &[name, argument] : named)
      if (name == "caller")
        raise("macro " + shown +
              " was invoked with two values for the special caller argument. "
              "This is most likely a bug.");
    raise("macro " + shown + " takes no keyword argument " + reprOf(named[0].first));
  }
  if (s.usesVarargs) {
    Vector<Value> rest;
    if (given.positional.size() > count)
      rest.assign(given.positional.begin() + count, given.positional.end());
    store(tree.varargsSymbol, Value::tuple(std::move(rest)));
  } else if (given.positional.size() > count) {
    raise("macro " + shown + " takes not more than " + decimal(count) + " argument(s)");
  }
  size_t firstDefault = count - s.values.size();
  for (size_t i = 0; i < count; ++i)
    if (!bound[i])
      store(s.parameters[i], i >= firstDefault ? evaluate(*s.values[i - firstDefault])
                                               : Value::undefined("parameter " + reprOf(tree.symbols[s.parameters[i]]) +
                                                                  " was not provided"));
  run(s.body);
  return Value::string(std::move(here.text), escaping);
}

Value Interpreter::filtered(const Expression &e, const Value &input) {
  Value inner = e.children[0] ? filtered(*e.children[0], input) : input;
  if (!e.filter)
    raise("No filter named " + reprOf(e.text) + " found.");
  return e.filter(*this, inner, arguments(e.call));
}

} // namespace stepdown::jinja
