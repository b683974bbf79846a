// The loop variable. A condition (`for x in xs if ...`) is asked for each item only when its turn comes, so that it
// sees what the body did before, unless the template looks ahead (loop.last, loop.length ...).
#include "lib/Text/ChatTemplate/Interpreter.h"
#include "lib/Text/ChatTemplate/Members.h"
#include <algorithm>

namespace stepdown::jinja {

Value LoopObject::pull() {
  while (cursor < items.size()) {
    const Value item = items[cursor++];
    if (!statement->condition || interpreter->passesCondition(*statement, scope, item))
      return item;
  }
  return Value();
}

Value LoopObject::peek() {
  if (ahead.empty()) {
    Value item = pull();
    if (item.missing())
      return item;
    ahead.push_back(std::move(item));
  }
  return ahead.back();
}

bool LoopObject::advance() {
  Value item = peek();
  if (item.missing())
    return false;
  ahead.pop_back();
  previous = std::move(current);
  current = std::move(item);
  ++index0;
  return true;
}

/// loop.changed(loop) holds the loop itself.
void LoopObject::clear() {
  scope = previous = current = changed = Value();
  items.clear();
  ahead.clear();
}

int64_t loopLength(const Value &loop) {
  auto &state = loop.as<LoopObject>();
  if (state.length < 0) {
    Vector<Value> rest = loopRest(loop);
    std::reverse(rest.begin(), rest.end());
    state.ahead = std::move(rest);
    state.length = state.index0 + 1 + static_cast<int64_t>(state.ahead.size());
  }
  return state.length;
}

Vector<Value> loopRest(const Value &loop) {
  auto &state = loop.as<LoopObject>();
  Vector<Value> rest(state.ahead.rbegin(), state.ahead.rend());
  state.ahead.clear();
  for (Value item = state.pull(); !item.missing(); item = state.pull())
    rest.push_back(item);
  return rest;
}

namespace {

Value cycle(Interpreter &, const Value &self, const Arguments &given) {
  if (given.positional.empty())
    raise("no items for cycling given");
  return given.positional[self.as<LoopObject>().index0 % given.positional.size()];
}

Value changed(Interpreter &, const Value &self, const Arguments &given) {
  Value now = Value::tuple(given.positional);
  auto &state = self.as<LoopObject>();
  if (!state.changed.missing() && equals(state.changed, now))
    return Value::boolean(false);
  state.changed = now;
  return Value::boolean(true);
}

Value at(const Value &loop, int64_t offset) { return Value::integer(loop.as<LoopObject>().index0 + offset); }
Value left(const Value &loop, int64_t offset) {
  return Value::integer(loopLength(loop) - loop.as<LoopObject>().index0 - offset);
}

Value previousItem(const Value &loop) {
  auto &state = loop.as<LoopObject>();
  return state.index0 == 0 ? Value::undefined("there is no previous item") : state.previous;
}

Value nextItem(const Value &loop) {
  Value next = loop.as<LoopObject>().peek();
  return next.missing() ? Value::undefined("there is no next item") : next;
}

const std::pair<std::string_view, Value (*)(const Value &)> attributes[] = {
    {"index", [](const Value &loop) { return at(loop, 1); }},
    {"index0", [](const Value &loop) { return at(loop, 0); }},
    {"first", [](const Value &loop) { return Value::boolean(loop.as<LoopObject>().index0 == 0); }},
    {"last", [](const Value &loop) { return Value::boolean(loop.as<LoopObject>().peek().missing()); }},
    {"length", [](const Value &loop) { return Value::integer(loopLength(loop)); }},
    {"revindex", [](const Value &loop) { return left(loop, 0); }},
    {"revindex0", [](const Value &loop) { return left(loop, 1); }},
    {"depth", [](const Value &loop) { return Value::integer(loop.as<LoopObject>().depth0 + 1); }},
    {"depth0", [](const Value &loop) { return Value::integer(loop.as<LoopObject>().depth0); }},
    {"previtem", previousItem},
    {"nextitem", nextItem},
    {"cycle", [](const Value &loop) { return function(cycle, "cycle", loop); }},
    {"changed", [](const Value &loop) { return function(changed, "changed", loop); }},
};

} // namespace

Vector<std::string_view> loopNames() { return namesOf(attributes); }

Value loopAttribute(const Value &loop, std::string_view name) {
  for (const auto &[known, attribute] : attributes)
    if (known == name)
      return attribute(loop);
  return Value();
}

} // namespace stepdown::jinja
