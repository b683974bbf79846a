// Making, counting and freeing values; hashing; dictionaries.
#include "runtime/ChatTemplate/Value.h"
#include "runtime/ChatTemplate/Operations.h"
#include <cmath>
#include <cstring>
#include <functional>
#include <memory>

namespace stepdown::jinja {

void raise(std::string message) { throw Refusal{ErrorCode::TemplateOperation, std::move(message), 0, {}}; }
void refuse(ErrorCode code, std::string message) { throw Refusal{code, std::move(message), 0, {}}; }

namespace {

thread_local Budget *currentBudget = nullptr;
thread_local int nestingDepth = 0;
thread_local bool freeing = false;
thread_local Object *dying = nullptr; // plain, so that values of static duration may outlive the thread's other locals

template <typename T> std::unique_ptr<T> fresh(size_t extra = 0) {
  auto object = std::make_unique<T>();
  object->account(sizeof(T) + extra);
  return object;
}

} // namespace

Budget::Budget(size_t memoryBytes, uint64_t steps) : memoryLimit(memoryBytes), stepLimit(steps), outer(currentBudget) {
  currentBudget = this;
}

Budget::~Budget() {
  // Cycles run through these; emptied, they let go of each other.
  for (size_t i = 0; i < changing.size(); ++i)
    if (changing[i]) {
      Value held(Kind::Namespace, changing[i]);
      changing[i]->clear();
    }
  currentBudget = outer;
}

Budget *Budget::current() { return currentBudget; }

void Budget::spend(uint64_t steps) {
  if (!currentBudget)
    return;
  currentBudget->used += steps;
  if (currentBudget->used > currentBudget->stepLimit)
    refuse(ErrorCode::TemplateSteps,
           "expects at most " + std::to_string(currentBudget->stepLimit) + " steps, but the template goes on");
}

void Budget::require(size_t bytes) {
  if (currentBudget && (bytes > currentBudget->memoryLimit || currentBudget->live > currentBudget->memoryLimit - bytes))
    refuse(ErrorCode::TemplateMemory, "expects values of at most " + std::to_string(currentBudget->memoryLimit) +
                                          " bytes together, but the template asks for more");
}

void Budget::charge(size_t bytes) {
  require(bytes);
  live += bytes;
}

size_t Budget::enlist(MutableObject *object) {
  if (vacant.empty()) {
    changing.push_back(object);
    vacant.reserve(changing.capacity()); // so that `forget`, which destructors call, allocates nothing
    return changing.size() - 1;
  }
  size_t place = vacant.back();
  vacant.pop_back();
  changing[place] = object;
  return place;
}

void Budget::forget(size_t place) {
  changing[place] = nullptr;
  vacant.push_back(place);
}

Nesting::Nesting() {
  if (++nestingDepth > 500) {
    --nestingDepth;
    refuse(ErrorCode::TemplateDepth, "expects values nested at most 500 deep, but got more");
  }
}
Nesting::~Nesting() { --nestingDepth; }

Object::~Object() {
  if (budget)
    budget->release(accounted);
}

void Object::account(size_t bytes) {
  if (!Budget::current())
    return;
  Budget::current()->charge(bytes);
  budget = Budget::current();
  accounted += bytes;
}

MutableObject::MutableObject() : registered(Budget::current()) {
  if (registered)
    seat = registered->enlist(this);
}

MutableObject::~MutableObject() {
  if (registered)
    registered->forget(seat);
}

void Value::free(Object *object) {
  object->nextDying = dying;
  dying = object;
  if (freeing)
    return;
  freeing = true;
  while (dying) {
    Object *next = dying;
    dying = next->nextDying;
    delete next;
  }
  freeing = false;
}

Value Value::real(double f) {
  Value v(Kind::Float, int64_t(0));
  v.number = f;
  return v;
}

Value Value::string(std::string text, bool markup) {
  auto object = fresh<StringObject>(text.size());
  object->text = std::move(text);
  object->flag = markup;
  return Value(Kind::String, object.release());
}

Value Value::big(std::string digits) {
  auto object = fresh<StringObject>(digits.size());
  object->text = std::move(digits);
  return Value(Kind::Big, object.release());
}

Value Value::undefined(std::string message, bool security) {
  auto object = fresh<StringObject>(message.size());
  object->text = std::move(message);
  object->flag = security;
  return Value(Kind::Undefined, object.release());
}

namespace {
std::unique_ptr<SequenceObject> sequence(std::vector<Value> items) {
  Budget::spend(1 + items.size() / 4);
  auto object = fresh<SequenceObject>(items.size() * sizeof(Value));
  object->items = std::move(items);
  return object;
}
} // namespace

Value Value::list(std::vector<Value> items) { return Value(Kind::List, sequence(std::move(items)).release()); }

Value Value::tuple(std::vector<Value> items, bool grouped) {
  auto object = sequence(std::move(items));
  object->grouped = grouped;
  return Value(Kind::Tuple, object.release());
}

Value Value::generator(std::vector<Value> items) {
  return Value(Kind::Generator, sequence(std::move(items)).release());
}

Value Value::failingGenerator(std::string failure) {
  Value value = generator({});
  value.as<SequenceObject>().failure = std::move(failure);
  return value;
}

Value Value::dict() { return Value(Kind::Dict, fresh<DictObject>().release()); }

const std::string &Value::text() const { return as<StringObject>().text; }
bool Value::markup() const { return as<StringObject>().flag; }
bool Value::security() const { return as<StringObject>().flag; }
bool Value::grouped() const { return as<SequenceObject>().grouped; }
const std::vector<Value> &Value::items() const { return as<SequenceObject>().items; }
DictObject &Value::dictionary() const { return as<DictObject>(); }

const Value *DictObject::find(const Value &key) const {
  if (entries.size() <= 8) {
    hashOf(key); // refuses what can't be a key
    for (const auto &[k, v] : entries)
      if (equals(k, key))
        return &v;
    return nullptr;
  }
  auto [first, last] = index.equal_range(hashOf(key));
  for (; first != last; ++first)
    if (equals(entries[first->second].first, key))
      return &entries[first->second].second;
  return nullptr;
}

const Value *DictObject::find(std::string_view key) const {
  if (entries.size() <= 8) {
    for (const auto &[k, v] : entries)
      if (k.is(Kind::String) && k.text() == key)
        return &v;
    return nullptr;
  }
  auto [first, last] = index.equal_range(std::hash<std::string_view>()(key));
  for (; first != last; ++first) {
    const Value &k = entries[first->second].first;
    if (k.is(Kind::String) && k.text() == key)
      return &entries[first->second].second;
  }
  return nullptr;
}

void DictObject::set(Value key, Value value) {
  if (const Value *old = find(key)) {
    const_cast<Value &>(*old) = std::move(value);
    return;
  }
  account(sizeof(entries[0]));
  entries.emplace_back(std::move(key), std::move(value));
  if (entries.size() == 9) {
    for (size_t i = 0; i < entries.size(); ++i)
      index.emplace(hashOf(entries[i].first), i);
  } else if (entries.size() > 9) {
    account(64);
    index.emplace(hashOf(entries.back().first), entries.size() - 1);
  }
}

int64_t RangeObject::length() const {
  __int128 from = start, to = stop, by = step;
  __int128 count = by > 0 ? (from < to ? (to - 1 - from) / by + 1 : 0) : (from > to ? (from - 1 - to) / -by + 1 : 0);
  return count > INT64_MAX ? INT64_MAX : static_cast<int64_t>(count);
}

size_t hashOf(const Value &value) {
  Nesting guard;
  switch (value.kind()) {
  case Kind::Bool:
  case Kind::Integer:
    return std::hash<int64_t>()(value.asInteger());
  case Kind::Float: {
    double f = value.asReal();
    if (f == std::floor(f) && std::fabs(f) < 9e18)
      return std::hash<int64_t>()(static_cast<int64_t>(f));
    return std::hash<double>()(f);
  }
  case Kind::String:
    Budget::spendBytes(value.text().size());
    return std::hash<std::string_view>()(value.text());
  case Kind::Big:
    return std::hash<std::string_view>()(value.text());
  case Kind::Tuple: {
    size_t h = 0x345678;
    for (const Value &item : value.items())
      h = h * 1000003 + hashOf(item);
    Budget::spend(value.items().size());
    return h;
  }
  case Kind::Missing:
  case Kind::None:
  case Kind::Undefined:
    return 0x9e3779b9u + static_cast<size_t>(value.kind());
  case Kind::List:
  case Kind::Dict:
  case Kind::View:
    raise(std::string("unhashable type: '") + typeName(value) + "'");
  default:
    return std::hash<const void *>()(value.identity());
  }
}

const char *typeName(const Value &value) {
  switch (value.kind()) {
  case Kind::Missing:
  case Kind::Undefined:
    return "Undefined";
  case Kind::None:
    return "NoneType";
  case Kind::Bool:
    return "bool";
  case Kind::Integer:
  case Kind::Big:
    return "int";
  case Kind::Float:
    return "float";
  case Kind::String:
    return value.markup() ? "Markup" : "str";
  case Kind::List:
    return "list";
  case Kind::Tuple:
    return value.grouped() ? "_GroupTuple" : "tuple";
  case Kind::Dict:
    return "dict";
  case Kind::View: {
    auto of = value.as<ViewObject>().of;
    return of == ViewObject::Of::Keys ? "dict_keys" : of == ViewObject::Of::Values ? "dict_values" : "dict_items";
  }
  case Kind::Generator:
    return "generator";
  case Kind::Range:
    return "range";
  case Kind::Namespace:
    return "Namespace";
  case Kind::Macro:
    return "Macro";
  case Kind::Function:
    return "function";
  case Kind::Loop:
    return "LoopContext";
  case Kind::Cycler:
    return "Cycler";
  case Kind::Joiner:
    return "Joiner";
  }
  return "object";
}

} // namespace stepdown::jinja
