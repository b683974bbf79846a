// The loop variable. A condition (`for x in xs if ...`) is asked for each item only when its turn comes, so that it
// sees what the body did before, unless the template looks ahead (loop.last, loop.length ...).
#include "runtime/ChatTemplate/Interpreter.h"
#include "runtime/ChatTemplate/Members.h"
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

int64_t loopLength(const Value &loop) {
  auto &state = loop.as<LoopObject>();
  if (state.length < 0) {
    std::vector<Value> rest = loopRest(loop);
    std::reverse(rest.begin(), rest.end());
    state.ahead = std::move(rest);
    state.length = state.index0 + 1 + static_cast<int64_t>(state.ahead.size());
  }
  return state.length;
}

std::vector<Value> loopRest(const Value &loop) {
  auto &state = loop.as<LoopObject>();
  std::vector<Value> rest(state.ahead.rbegin(), state.ahead.rend());
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

} // namespace

Value loopAttribute(const Value &loop, std::string_view name) {
  auto &state = loop.as<LoopObject>();
  if (name == "index")
    return Value::integer(state.index0 + 1);
  if (name == "index0")
    return Value::integer(state.index0);
  if (name == "first")
    return Value::boolean(state.index0 == 0);
  if (name == "last")
    return Value::boolean(state.peek().missing());
  if (name == "length")
    return Value::integer(loopLength(loop));
  if (name == "revindex")
    return Value::integer(loopLength(loop) - state.index0);
  if (name == "revindex0")
    return Value::integer(loopLength(loop) - state.index0 - 1);
  if (name == "depth")
    return Value::integer(state.depth0 + 1);
  if (name == "depth0")
    return Value::integer(state.depth0);
  if (name == "previtem")
    return state.index0 == 0 ? Value::undefined("there is no previous item") : state.previous;
  if (name == "nextitem") {
    Value next = state.peek();
    return next.missing() ? Value::undefined("there is no next item") : next;
  }
  if (name == "cycle")
    return function(cycle, "cycle", loop);
  if (name == "changed")
    return function(changed, "changed", loop);
  return Value();
}

} // namespace stepdown::jinja
