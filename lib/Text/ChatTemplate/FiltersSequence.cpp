// Filters on sequences and mappings. What Python's generators would do lazily is done at once; the result still counts
// as a generator: it is iterated once, has no length, and is no JSON.
#include "lib/Text/ChatTemplate/Filters.h"
#include "lib/Text/ChatTemplate/Text.h"
#include <algorithm>

namespace stepdown::jinja::filters {

namespace {

/// "a.b.0": attributes and, for digits, items.
Vector<Value> attributeParts(const Value &attribute) {
  Vector<Value> parts;
  if (!attribute.is(Kind::String)) {
    if (!attribute.missing() && !attribute.is(Kind::None))
      parts.push_back(attribute);
    return parts;
  }
  std::string_view dot = ".";
  for (std::string_view part : split(attribute.text(), &dot, -1)) {
    bool digits = !part.empty() && part.size() < 18 && part.find_first_not_of("0123456789") == part.npos;
    parts.push_back(digits ? Value::integer(*parseInteger(part, 10)) : Value::string(String(part)));
  }
  return parts;
}

Value getAttribute(Value item, const Vector<Value> &parts, const Value &otherwise = Value()) {
  for (const Value &part : parts) {
    item = itemOf(item, part);
    if (item.is(Kind::Undefined) && !otherwise.missing() && !otherwise.is(Kind::None))
      item = otherwise;
  }
  return item;
}

Value foldCase(const Value &value, bool caseSensitive) {
  return value.is(Kind::String) && !caseSensitive ? Value::string(lower(value.text())) : value;
}

/// A generator that fails does so when it is asked for items, which may be never.
template <typename Make> Value lazily(Make make) {
  try {
    return make();
  } catch (Refusal &refusal) {
    if (refusal.code != ErrorCode::TemplateOperation)
      throw;
    Budget::spend(100); // what unwinding takes
    return Value::failingGenerator(String(refusal.message));
  }
}

Value choose(Interpreter &interpreter, const Value &input, const Arguments &given, bool byAttribute, bool keep) {
  Vector<Value> out;
  if (!truth(input))
    return Value::generator({});
  Vector<Value> parts;
  Arguments rest = given;
  if (byAttribute) {
    if (given.positional.empty())
      raise("Missing parameter for attribute name");
    parts = attributeParts(given.positional[0]);
    rest.positional.erase(rest.positional.begin());
  }
  String test;
  if (!rest.positional.empty()) {
    test = textArgument(rest.positional[0], "select");
    rest.positional.erase(rest.positional.begin());
  }
  for (const Value &item : itemsOf(input)) {
    Value subject = getAttribute(item, parts);
    bool passes = test.empty() ? truth(subject) : interpreter.callTest(test, subject, rest);
    if (passes == keep)
      out.push_back(item);
  }
  return Value::generator(std::move(out));
}

Value extreme(const Value &input, const Arguments &given, bool largest) {
  Vector<Value> a = bindArguments(given, largest ? "max" : "min", {"case_sensitive", "attribute"}, 0);
  Vector<Value> parts = attributeParts(a[1]), items = itemsOf(input);
  if (items.empty())
    return Value::undefined("No aggregated item, sequence was empty.");
  Value best = items[0], bestKey = foldCase(getAttribute(best, parts), truth(a[0]));
  for (size_t i = 1; i < items.size(); ++i) {
    Value key = foldCase(getAttribute(items[i], parts), truth(a[0]));
    if (largest ? less(bestKey, key, ">") : less(key, bestKey)) {
      best = items[i];
      bestKey = key;
    }
  }
  return best;
}

} // namespace

Value select(Interpreter &i, const Value &input, const Arguments &given) {
  return lazily([&]() { return choose(i, input, given, false, true); });
}
Value reject(Interpreter &i, const Value &input, const Arguments &given) {
  return lazily([&]() { return choose(i, input, given, false, false); });
}
Value selectattr(Interpreter &i, const Value &input, const Arguments &given) {
  return lazily([&]() { return choose(i, input, given, true, true); });
}
Value rejectattr(Interpreter &i, const Value &input, const Arguments &given) {
  return lazily([&]() { return choose(i, input, given, true, false); });
}

Value mapped(Interpreter &interpreter, const Value &input, const Arguments &given) {
  return lazily([&]() -> Value {
    if (!truth(input))
      return Value::generator({});
    Vector<Value> out;
    bool byAttribute = given.positional.empty() && std::any_of(given.named.begin(), given.named.end(),
                                                               [](const auto &n) { return n.first == "attribute"; });
    if (byAttribute) {
      Vector<Value> a = bindArguments(given, "map", {"attribute", "default"}, 1);
      Vector<Value> parts = attributeParts(a[0]);
      for (const Value &item : itemsOf(input))
        out.push_back(getAttribute(item, parts, a[1]));
      return Value::generator(std::move(out));
    }
    if (given.positional.empty())
      raise("map requires a filter argument");
    Arguments rest = given;
    rest.positional.erase(rest.positional.begin());
    const String &name = textArgument(given.positional[0], "map");
    for (const Value &item : itemsOf(input))
      out.push_back(interpreter.callFilter(name, item, rest));
    return Value::generator(std::move(out));
  });
}

Value smallest(Interpreter &, const Value &input, const Arguments &given) { return extreme(input, given, false); }
Value largest(Interpreter &, const Value &input, const Arguments &given) { return extreme(input, given, true); }

Value first(Interpreter &, const Value &input, const Arguments &) {
  if (input.is(Kind::Generator)) {
    auto &generator = input.as<SequenceObject>();
    if (!generator.failure.empty())
      raise(generator.failure);
    if (generator.next < generator.items.size())
      return generator.items[generator.next++];
  } else if (input.isSequence()) {
    if (!input.items().empty())
      return input.items()[0];
  } else {
    Vector<Value> items = itemsOf(input);
    if (!items.empty())
      return items[0];
  }
  return Value::undefined("No first item, sequence was empty.");
}

Value last(Interpreter &, const Value &input, const Arguments &) {
  if (input.is(Kind::Generator) || !isIterable(input))
    raise(String("'") + typeName(input) + "' object is not reversible");
  const Vector<Value> items = input.isSequence() ? Vector<Value>() : itemsOf(input);
  const Vector<Value> &all = input.isSequence() ? input.items() : items;
  return all.empty() ? Value::undefined("No last item, sequence was empty.") : all.back();
}

Value length(Interpreter &, const Value &input, const Arguments &) { return Value::integer(requireLength(input)); }

Value toList(Interpreter &, const Value &input, const Arguments &) {
  if (input.is(Kind::List))
    return input;
  return Value::list(itemsOf(input));
}

Value items(Interpreter &, const Value &input, const Arguments &) {
  return lazily([&]() -> Value {
    if (input.is(Kind::Undefined))
      return Value::generator({});
    if (!input.is(Kind::Dict))
      raise("Can only get item pairs from a mapping.");
    Vector<Value> pairs;
    for (const auto &[key, value] : input.dictionary().entries)
      pairs.push_back(Value::tuple({key, value}));
    return Value::generator(std::move(pairs));
  });
}

Value joined(Interpreter &, const Value &input, const Arguments &given) {
  Vector<Value> a = bindArguments(given, "join", {"d", "attribute"}, 0);
  String separator = a[0].missing() ? "" : toText(a[0]), out;
  Vector<Value> parts = attributeParts(a[1]);
  bool first = true;
  for (const Value &item : itemsOf(input)) {
    if (!first)
      out += separator;
    appendText(out, getAttribute(item, parts));
    first = false;
  }
  return Value::string(std::move(out));
}

/// The values of `keyed` in the order of their keys.
Value sortedValues(Vector<std::pair<Value, Value>> &keyed, bool reverse) {
  sortStable(keyed, reverse);
  Vector<Value> out;
  for (auto &entry : keyed)
    out.push_back(std::move(entry.second));
  return Value::list(std::move(out));
}

Value dictsort(Interpreter &, const Value &input, const Arguments &given) {
  Vector<Value> a = bindArguments(given, "dictsort", {"case_sensitive", "by", "reverse"}, 0);
  String by = a[1].missing() ? "key" : textArgument(a[1], "dictsort");
  if (by != "key" && by != "value")
    raise("You can only sort by either \"key\" or \"value\"");
  if (!input.is(Kind::Dict)) {
    if (input.is(Kind::Undefined))
      raiseUndefined(input);
    raise(String("'") + typeName(input) + "' object has no attribute 'items'");
  }
  Vector<std::pair<Value, Value>> keyed;
  for (const auto &[key, value] : input.dictionary().entries)
    keyed.emplace_back(foldCase(by == "key" ? key : value, truth(a[0])), Value::tuple({key, value}));
  return sortedValues(keyed, truth(a[2]));
}

Value sorted(Interpreter &, const Value &input, const Arguments &given) {
  Vector<Value> a = bindArguments(given, "sort", {"reverse", "case_sensitive", "attribute"}, 0);
  Vector<Vector<Value>> attributes;
  std::string_view comma = ",";
  if (a[2].is(Kind::String))
    for (std::string_view part : split(a[2].text(), &comma, -1))
      attributes.push_back(attributeParts(Value::string(String(part))));
  else
    attributes.push_back(attributeParts(a[2]));
  Vector<std::pair<Value, Value>> keyed;
  for (const Value &item : itemsOf(input)) {
    Vector<Value> key;
    for (const Vector<Value> &parts : attributes)
      key.push_back(foldCase(getAttribute(item, parts), truth(a[1])));
    keyed.emplace_back(Value::list(std::move(key)), item);
  }
  return sortedValues(keyed, truth(a[0]));
}

Value groupby(Interpreter &, const Value &input, const Arguments &given) {
  Vector<Value> a = bindArguments(given, "groupby", {"attribute", "default", "case_sensitive"}, 1);
  Vector<Value> parts = attributeParts(a[0]);
  bool caseSensitive = truth(a[2]);
  Vector<std::pair<Value, Value>> keyed;
  for (const Value &item : itemsOf(input))
    keyed.emplace_back(foldCase(getAttribute(item, parts, a[1]), caseSensitive), item);
  sortStable(keyed, false);
  Vector<Value> groups;
  for (size_t i = 0; i < keyed.size();) {
    Vector<Value> members;
    size_t begin = i;
    for (; i < keyed.size() && equals(keyed[i].first, keyed[begin].first); ++i)
      members.push_back(keyed[i].second);
    Value grouper = caseSensitive ? keyed[begin].first : getAttribute(members[0], parts, a[1]);
    groups.push_back(Value::tuple({grouper, Value::list(std::move(members))}, true));
  }
  return Value::list(std::move(groups));
}

Value unique(Interpreter &, const Value &input, const Arguments &given) {
  return lazily([&]() -> Value {
    Vector<Value> a = bindArguments(given, "unique", {"case_sensitive", "attribute"}, 0);
    Vector<Value> parts = attributeParts(a[1]), out;
    Value seen = Value::dict();
    for (const Value &item : itemsOf(input)) {
      Value key = foldCase(getAttribute(item, parts), truth(a[0]));
      if (seen.dictionary().find(key))
        continue;
      seen.dictionary().set(key, Value::none());
      out.push_back(item);
    }
    return Value::generator(std::move(out));
  });
}

Value reversed(Interpreter &, const Value &input, const Arguments &) {
  if (input.is(Kind::String))
    return sliceOf(input, Value(), Value(), Value::integer(-1));
  if (!isIterable(input))
    raise("argument must be iterable");
  Vector<Value> items = itemsOf(input);
  std::reverse(items.begin(), items.end());
  return input.is(Kind::Generator) ? Value::list(std::move(items)) : Value::generator(std::move(items));
}

Value sum(Interpreter &, const Value &input, const Arguments &given) {
  Vector<Value> a = bindArguments(given, "sum", {"attribute", "start"}, 0);
  Vector<Value> parts = attributeParts(a[0]);
  Value total = a[1].missing() ? Value::integer(0) : a[1];
  if (total.is(Kind::String))
    raise("sum() can't sum strings [use ''.join(seq) instead]");
  for (const Value &item : itemsOf(input))
    total = binary(Binary::Add, total, getAttribute(item, parts));
  return total;
}

Value batch(Interpreter &, const Value &input, const Arguments &given) {
  return lazily([&]() -> Value {
    Vector<Value> a = bindArguments(given, "batch", {"linecount", "fill_with"}, 1);
    int64_t count = integerArgument(a[0], "batch");
    Vector<Value> rows, row;
    for (const Value &item : itemsOf(input)) {
      if (static_cast<int64_t>(row.size()) == count) {
        rows.push_back(Value::list(std::move(row)));
        row.clear();
      }
      row.push_back(item);
    }
    if (!row.empty()) {
      if (!a[1].missing() && !a[1].is(Kind::None)) {
        if (count > static_cast<int64_t>(row.size()))
          row.resize(count, a[1]);
      }
      rows.push_back(Value::list(std::move(row)));
    }
    return Value::generator(std::move(rows));
  });
}

Value sliced(Interpreter &, const Value &input, const Arguments &given) {
  return lazily([&]() -> Value {
    Vector<Value> a = bindArguments(given, "slice", {"slices", "fill_with"}, 1);
    Vector<Value> items = itemsOf(input), rows;
    int64_t slices = integerArgument(a[0], "slice"), length = static_cast<int64_t>(items.size());
    if (slices == 0)
      raise("integer division or modulo by zero");
    if (slices > static_cast<int64_t>(SIZE_MAX / 2 / sizeof(SequenceObject)))
      Budget::require(SIZE_MAX);
    Budget::require(static_cast<size_t>(std::max<int64_t>(slices, 0)) * sizeof(SequenceObject));
    int64_t each = slices > 0 ? length / slices : 0, extra = slices > 0 ? length % slices : 0;
    for (int64_t i = 0, begin = 0; i < slices; ++i) {
      int64_t end = begin + each + (i < extra);
      Vector<Value> row(items.begin() + begin, items.begin() + end);
      if (!a[1].missing() && !a[1].is(Kind::None) && i >= extra)
        row.push_back(a[1]);
      rows.push_back(Value::list(std::move(row)));
      begin = end;
    }
    return Value::generator(std::move(rows));
  });
}

} // namespace stepdown::jinja::filters
