// Making, counting and freeing values; hashing; dictionaries.
#include "lib/Text/ChatTemplate/Value.h"
#include "lib/Text/ChatTemplate/Operations.h"
#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>

namespace stepdown::jinja {

namespace {

thread_local bool freeing = false;
thread_local Object *dying = nullptr; // plain, so that values of static duration may outlive the thread's other locals

/// Spreads the bits of a hash: those of integers are the integers.
uint32_t spread(size_t hash) { return static_cast<uint32_t>((hash * 0x9E3779B97F4A7C15ull) >> 32); }

} // namespace

Object::~Object() = default;

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

namespace {

std::unique_ptr<StringObject> textual(String text, bool flag) {
  auto object = std::make_unique<StringObject>();
  object->text = std::move(text);
  object->flag = flag;
  return object;
}

std::unique_ptr<SequenceObject> sequence(Vector<Value> items) {
  Budget::spend(1 + items.size() / 4);
  auto object = std::make_unique<SequenceObject>();
  object->items = std::move(items);
  return object;
}

} // namespace

Value Value::string(String text, bool markup) {
  return Value(Kind::String, textual(std::move(text), markup).release());
}
Value Value::big(std::string_view digits) { return Value(Kind::Big, textual(String(digits), false).release()); }
Value Value::undefined(String message, bool security) {
  return Value(Kind::Undefined, textual(std::move(message), security).release());
}

Value Value::list(Vector<Value> items) { return Value(Kind::List, sequence(std::move(items)).release()); }

Value Value::tuple(Vector<Value> items, bool grouped) {
  auto object = sequence(std::move(items));
  object->grouped = grouped;
  return Value(Kind::Tuple, object.release());
}

Value Value::generator(Vector<Value> items) { return Value(Kind::Generator, sequence(std::move(items)).release()); }

Value Value::failingGenerator(String failure) {
  Value value = generator({});
  value.as<SequenceObject>().failure = std::move(failure);
  return value;
}

Value Value::dict() { return Value(Kind::Dict, std::make_unique<DictObject>().release()); }

const String &Value::text() const { return as<StringObject>().text; }
bool Value::markup() const { return as<StringObject>().flag; }
bool Value::security() const { return as<StringObject>().flag; }
bool Value::grouped() const { return as<SequenceObject>().grouped; }
const Vector<Value> &Value::items() const { return as<SequenceObject>().items; }
DictObject &Value::dictionary() const { return as<DictObject>(); }

template <typename Equal> const Value *DictObject::probe(uint32_t hash, Equal equal) const {
  const size_t mask = slots.size() - 1;
  size_t looked = 0;
  for (size_t i = hash & mask; slots[i].place; i = (i + 1) & mask) {
    if (slots[i].hash == hash && equal(entries[slots[i].place - 1].first))
      return &entries[slots[i].place - 1].second;
    if (++looked % 8 == 0)
      Budget::spend(1);
  }
  return nullptr;
}

void DictObject::insert(uint32_t hash, uint32_t place) {
  const size_t mask = slots.size() - 1;
  size_t i = hash & mask;
  for (size_t looked = 0; slots[i].place; i = (i + 1) & mask)
    if (++looked % 8 == 0)
      Budget::spend(1);
  slots[i] = {place, hash};
}

const Value *DictObject::find(const Value &key) const {
  const uint32_t hash = spread(hashOf(key)); // refuses what can't be a key
  if (!slots.empty())
    return probe(hash, [&](const Value &k) { return equals(k, key); });
  for (const auto &[k, v] : entries)
    if (equals(k, key))
      return &v;
  return nullptr;
}

const Value *DictObject::find(std::string_view key) const {
  Budget::spend(1 + key.size() / 8); // hashed, or compared with up to eight keys
  auto equal = [&](const Value &k) { return k.is(Kind::String) && k.text() == key; };
  if (!slots.empty())
    return probe(spread(std::hash<std::string_view>()(key)), equal);
  for (const auto &[k, v] : entries)
    if (equal(k))
      return &v;
  return nullptr;
}

void DictObject::set(Value key, Value value) {
  if (const Value *old = find(key)) {
    const_cast<Value &>(*old) = std::move(value);
    return;
  }
  if (entries.size() >= UINT32_MAX - 1)
    throw std::bad_alloc();
  if (entries.size() >= 8 && slots.size() < 2 * (entries.size() + 1)) {
    Budget::spend(1 + entries.size() / 4);
    Vector<Slot> old(std::max<size_t>(32, 4 * slots.size()));
    old.swap(slots);
    for (const Slot &slot : old)
      if (slot.place)
        insert(slot.hash, slot.place);
    if (old.empty())
      for (size_t i = 0; i < entries.size(); ++i)
        insert(spread(hashOf(entries[i].first)), static_cast<uint32_t>(i + 1));
  }
  entries.emplace_back(std::move(key), std::move(value));
  if (!slots.empty())
    insert(spread(hashOf(entries.back().first)), static_cast<uint32_t>(entries.size()));
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
    Budget::spendBytes(value.text().size());
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
    raise(String("unhashable type: '") + typeName(value) + "'");
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
