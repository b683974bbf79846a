// Length, iteration, items, slices and attributes.
#include "lib/Text/ChatTemplate/Members.h"
#include "lib/Text/ChatTemplate/Operations.h"
#include "lib/Text/ChatTemplate/Text.h"
#include <algorithm>
#include <memory>

namespace stepdown::jinja {

namespace {

int64_t pointsOf(const Value &value) {
  auto &object = value.as<StringObject>();
  if (object.points < 0)
    object.points = static_cast<int64_t>(countPoints(object.text));
  return object.points;
}

bool ascii(const Value &value) { return pointsOf(value) == static_cast<int64_t>(value.text().size()); }

/// How Undefined names the object that lacks something: "dict object", "None".
String describe(const Value &value) {
  switch (value.kind()) {
  case Kind::None:
    return "None";
  case Kind::Undefined:
    return "Undefined";
  case Kind::Namespace:
    return "jinja2.utils.Namespace object";
  case Kind::Loop:
    return "jinja2.runtime.LoopContext object";
  case Kind::Macro:
    return "jinja2.runtime.Macro object";
  case Kind::Cycler:
    return "jinja2.utils.Cycler object";
  case Kind::Joiner:
    return "jinja2.utils.Joiner object";
  case Kind::String:
    return value.markup() ? "markupsafe.Markup object" : "str object";
  default:
    return String(typeName(value)) + " object";
  }
}

Value noAttribute(const Value &value, const String &name) {
  return Value::undefined(reprOf(describe(value)) + " has no attribute " + reprOf(name));
}

Value itemAt(const Value &value, int64_t index, int64_t length) {
  if (index < 0)
    index += length;
  if (index < 0 || index >= length)
    return Value();
  switch (value.kind()) {
  case Kind::String: {
    const String &text = value.text();
    if (ascii(value))
      return Value::string(text.substr(index, 1));
    size_t bytes, at = offsetOf(text, index);
    decodeAt(text, at, bytes);
    return Value::string(text.substr(at, bytes));
  }
  case Kind::Range:
    return Value::integer(value.as<RangeObject>().start + index * value.as<RangeObject>().step);
  default:
    return value.items()[index];
  }
}

/// value[key] without the detour to attributes; Missing where there is none.
Value plainItem(const Value &value, const Value &key) {
  switch (value.kind()) {
  case Kind::Dict: {
    if (key.is(Kind::List) || key.is(Kind::Dict))
      return Value();
    const Value *found = value.dictionary().find(key);
    return found ? *found : Value();
  }
  case Kind::String:
  case Kind::List:
  case Kind::Tuple:
  case Kind::Range:
    return key.isIntegral() ? itemAt(value, key.asInteger(), *lengthOf(value)) : Value();
  default:
    return Value();
  }
}

int64_t sliceBound(const Value &bound, int64_t otherwise, int64_t low, int64_t high, int64_t length) {
  if (bound.missing() || bound.is(Kind::None))
    return otherwise;
  int64_t i = bound.asInteger();
  if (i < 0)
    i = i < -length ? low : i + length;
  return std::min(std::max(i, low), high);
}

} // namespace

std::optional<int64_t> lengthOf(const Value &value) {
  switch (value.kind()) {
  case Kind::Undefined:
    return 0;
  case Kind::String:
    return pointsOf(value);
  case Kind::List:
  case Kind::Tuple:
    return static_cast<int64_t>(value.items().size());
  case Kind::Dict:
    return static_cast<int64_t>(value.dictionary().entries.size());
  case Kind::View:
    return lengthOf(value.as<ViewObject>().dict);
  case Kind::Range:
    return value.as<RangeObject>().length();
  case Kind::Loop:
    return loopLength(value);
  default:
    return std::nullopt;
  }
}

int64_t requireLength(const Value &value) {
  if (std::optional<int64_t> length = lengthOf(value))
    return *length;
  raise(String("object of type '") + typeName(value) + "' has no len()");
}

bool isIterable(const Value &value) {
  switch (value.kind()) {
  case Kind::Undefined:
  case Kind::String:
  case Kind::List:
  case Kind::Tuple:
  case Kind::Dict:
  case Kind::View:
  case Kind::Generator:
  case Kind::Range:
  case Kind::Loop:
    return true;
  default:
    return false;
  }
}

Vector<Value> itemsOf(const Value &value) {
  Vector<Value> out;
  switch (value.kind()) {
  case Kind::Undefined:
    return out;
  case Kind::String: {
    const String &text = value.text();
    Budget::spend(text.size() / 4);
    for (size_t i = 0, n; i < text.size(); i += n) {
      decodeAt(text, i, n);
      out.push_back(Value::string(text.substr(i, n)));
    }
    return out;
  }
  case Kind::List:
  case Kind::Tuple:
    Budget::spend(1 + value.items().size() / 8);
    return value.items();
  case Kind::Dict:
    for (const auto &entry : value.dictionary().entries)
      out.push_back(entry.first);
    break;
  case Kind::View:
    for (const auto &[key, item] : value.as<ViewObject>().dict.dictionary().entries) {
      auto of = value.as<ViewObject>().of;
      out.push_back(of == ViewObject::Of::Keys ? key : of == ViewObject::Of::Values ? item : Value::tuple({key, item}));
    }
    break;
  case Kind::Generator: {
    auto &generator = value.as<SequenceObject>();
    if (!generator.failure.empty())
      raise(generator.failure);
    out.assign(generator.items.begin() + generator.next, generator.items.end());
    generator.next = generator.items.size();
    break;
  }
  case Kind::Range: {
    auto &range = value.as<RangeObject>();
    int64_t length = range.length();
    out.reserve(length);
    for (int64_t i = 0; i < length; ++i)
      out.push_back(Value::integer(range.start + i * range.step));
    break;
  }
  case Kind::Loop:
    return loopRest(value);
  default:
    raise(String("'") + typeName(value) + "' object is not iterable");
  }
  Budget::spend(1 + out.size() / 8);
  return out;
}

Value attributeOf(const Value &value, const String &name) {
  Budget::spend(2);
  if (value.is(Kind::Undefined))
    raiseUndefined(value);
  Value member = memberOf(value, name);
  if (!member.missing())
    return member;
  if (value.is(Kind::Dict))
    if (const Value *found = value.dictionary().find(std::string_view(name)))
      return *found;
  return noAttribute(value, name);
}

Value itemOf(const Value &value, const Value &key) {
  Budget::spend(1);
  if (value.is(Kind::Undefined))
    raiseUndefined(value);
  Value item = plainItem(value, key);
  if (!item.missing())
    return item;
  if (key.is(Kind::String)) {
    Value member = memberOf(value, key.text());
    return member.missing() ? noAttribute(value, key.text()) : member;
  }
  return Value::undefined(describe(value) + " has no element " + toRepr(key));
}

Value sliceOf(const Value &value, const Value &startBound, const Value &stopBound, const Value &stepBound) {
  if (value.is(Kind::Undefined))
    raiseUndefined(value);
  if (value.is(Kind::Dict))
    raise("unhashable type: 'slice'");
  if (!value.is(Kind::String) && !value.isSequence() && !value.is(Kind::Range))
    raise(String("'") + typeName(value) + "' object is not subscriptable");
  for (const Value *bound : {&startBound, &stopBound, &stepBound})
    if (!bound->missing() && !bound->is(Kind::None) && !bound->isIntegral())
      raise("slice indices must be integers or None or have an __index__ method");
  int64_t step = stepBound.missing() || stepBound.is(Kind::None) ? 1 : stepBound.asInteger();
  if (step == 0)
    raise("slice step cannot be zero");
  step = std::max<int64_t>(step, -INT64_MAX);
  int64_t length = *lengthOf(value);
  int64_t low = step > 0 ? 0 : -1, high = step > 0 ? length : length - 1;
  int64_t start = sliceBound(startBound, step > 0 ? low : high, low, high, length);
  int64_t stop = sliceBound(stopBound, step > 0 ? high : low, low, high, length);
  int64_t count = step > 0 ? (start < stop ? (stop - start - 1) / step + 1 : 0)
                           : (stop < start ? (start - stop - 1) / -step + 1 : 0);
  if (value.is(Kind::Range)) {
    auto &range = value.as<RangeObject>();
    auto sliced = std::make_unique<RangeObject>();
    if (count > 0)
      sliced->start = range.start + start * range.step;
    if (count > 1) // then the step stays inside the range; otherwise it does not matter
      sliced->step = range.step * step;
    // One step past the last may be past 64 bits; any stop beyond the last will do.
    __int128 stop = static_cast<__int128>(sliced->start) + static_cast<__int128>(count) * sliced->step;
    sliced->stop = static_cast<int64_t>(std::min<__int128>(std::max<__int128>(stop, INT64_MIN), INT64_MAX));
    return Value(Kind::Range, sliced.release());
  }
  if (value.isSequence()) {
    Vector<Value> out;
    Budget::spend(1 + count / 8);
    out.reserve(count);
    for (int64_t i = 0; i < count; ++i)
      out.push_back(value.items()[start + i * step]);
    return value.is(Kind::List) ? Value::list(std::move(out)) : Value::tuple(std::move(out));
  }
  const String &text = value.text();
  String out;
  if (step == 1) {
    size_t begin = ascii(value) ? start : offsetOf(text, start);
    size_t bytes = ascii(value) ? count : offsetOf(std::string_view(text).substr(begin), count);
    out = text.substr(begin, bytes);
  } else {
    Budget::spend(1 + count / 8 + (ascii(value) ? 0 : text.size() / 8));
    Vector<size_t> offsets; // of each code point
    if (!ascii(value))
      for (size_t i = 0, n; i < text.size(); i += n) {
        offsets.push_back(i);
        decodeAt(text, i, n);
      }
    for (int64_t i = 0; i < count; ++i) {
      size_t at = start + i * step, bytes = 1;
      if (!offsets.empty()) {
        at = offsets[at];
        decodeAt(text, at, bytes);
      }
      out.append(text, at, bytes);
    }
  }
  return Value::string(std::move(out), value.markup());
}

} // namespace stepdown::jinja
