// Reading goes through the event interface of nlohmann's parser, so that numbers keep their digits and keys their
// order.
#include "lib/Text/ChatTemplate/Json.h"
#include "lib/Text/ChatTemplate/ChatTemplate.h"
#include "lib/Text/ChatTemplate/Operations.h"
#include "lib/Text/ChatTemplate/Text.h"
#include <cmath>
#include <nlohmann/json.hpp>

namespace stepdown::jinja {

namespace {

constexpr size_t deepest = 400; // levels of a document; below the limit of what prints it

class Builder : public nlohmann::json_sax<nlohmann::ordered_json> {
public:
  Value result;
  std::string problem;

  bool null() override { return add(Value::none()); }
  bool boolean(bool b) override { return add(Value::boolean(b)); }
  bool number_integer(number_integer_t i) override { return add(Value::integer(i)); }
  bool number_unsigned(number_unsigned_t i) override {
    return add(i > INT64_MAX ? Value::big(decimal(i)) : Value::integer(static_cast<int64_t>(i)));
  }
  bool number_float(number_float_t f, const string_t &digits) override {
    bool whole = digits.find_first_of(".eE") == digits.npos; // an integer that the parser has no type for
    return add(whole ? Value::big(digits) : Value::real(f));
  }
  bool string(string_t &s) override { return add(Value::string(String(s))); }
  bool binary(binary_t &) override { return false; }
  bool start_object(size_t) override { return open(Value::dict()); }
  bool start_array(size_t) override { return open(Value::none()); }
  bool key(string_t &k) override {
    stack.back().key = Value::string(String(k));
    return true;
  }
  bool end_object() override { return close(std::move(stack.back().object)); }
  bool end_array() override { return close(Value::list(std::move(stack.back().items))); }
  bool parse_error(size_t at, const std::string &, const nlohmann::detail::exception &e) override {
    std::string what = e.what();
    size_t colon = what.rfind("; ");
    problem = "offset " + std::to_string(at ? at - 1 : 0) + ": expects JSON, but got " +
              (colon == what.npos ? "a syntax error" : what.substr(colon + 2));
    return false;
  }

private:
  struct Level {
    Value object, key;
    Vector<Value> items;
  };
  bool open(Value object) {
    if (stack.size() >= deepest) {
      problem = "expects JSON nested at most " + std::to_string(deepest) + " deep, but got more";
      return false;
    }
    stack.push_back({std::move(object), Value(), {}});
    return true;
  }
  bool close(Value done) {
    stack.pop_back();
    return add(std::move(done));
  }
  bool add(Value value) {
    if (stack.empty())
      result = std::move(value);
    else if (stack.back().object.is(Kind::Dict))
      stack.back().object.dictionary().set(std::move(stack.back().key), std::move(value));
    else
      stack.back().items.push_back(std::move(value));
    return true;
  }

  Vector<Level> stack;
};

class Writer {
public:
  explicit Writer(const JsonStyle &style) : style(style) {}
  String out;

  void value(const Value &v) {
    Nesting guard;
    Budget::spend(1);
    switch (v.kind()) {
    case Kind::None:
      out += "null";
      break;
    case Kind::Bool:
      out += v.asInteger() ? "true" : "false";
      break;
    case Kind::Integer:
      out += decimal(v.asInteger());
      break;
    case Kind::Big:
      out += v.text();
      break;
    case Kind::Float:
      out += real(v.asReal());
      break;
    case Kind::String:
      string(v.text());
      break;
    case Kind::List:
    case Kind::Tuple:
      sequence('[', ']', v.items().size(), [&](size_t i) { value(v.items()[i]); });
      break;
    case Kind::Dict:
      dictionary(v.dictionary());
      break;
    default:
      raise(String("Object of type ") + typeName(v) + " is not JSON serializable");
    }
  }

private:
  static String real(double f) {
    if (std::isnan(f))
      return "NaN";
    if (std::isinf(f))
      return f < 0 ? "-Infinity" : "Infinity";
    return floatRepr(f);
  }

  template <typename Item> void sequence(char begin, char end, size_t count, Item item) {
    out += begin;
    ++depth;
    for (size_t i = 0; i < count; ++i) {
      if (i)
        out += style.itemSeparator;
      newline();
      item(i);
    }
    --depth;
    if (count)
      newline();
    out += end;
  }

  void newline() {
    if (!style.lines)
      return;
    Budget::spend(1 + depth / 4);
    out += '\n';
    for (int i = 0; i < depth; ++i)
      out += style.indent;
  }

  void dictionary(const DictObject &dict) {
    Vector<std::pair<Value, Value>> entries = dict.entries;
    if (style.sortKeys)
      sortStable(entries, false);
    sequence('{', '}', entries.size(), [&](size_t i) {
      const Value &key = entries[i].first;
      switch (key.kind()) {
      case Kind::String:
        string(key.text());
        break;
      case Kind::None:
      case Kind::Bool:
      case Kind::Integer:
      case Kind::Big:
      case Kind::Float:
        out += '"';
        value(key);
        out += '"';
        break;
      default:
        raise(String("keys must be str, int, float, bool or None, not ") + typeName(key));
      }
      out += style.keySeparator;
      value(entries[i].second);
    });
  }

  void string(const String &s) {
    Budget::spendDecoding(s.size());
    Meter meter(2); // of what isn't plain
    out += '"';
    auto plain = [](char c) { return c >= 0x20 && c < 0x7F && c != '"' && c != '\\'; };
    for (size_t i = 0, n; i < s.size(); i += n) {
      for (n = 0; i + n < s.size() && plain(s[i + n]);)
        ++n;
      if (n > 0) {
        out.append(s, i, n);
        continue;
      }
      uint32_t p = decodeAt(s, i, n);
      meter.seen(n);
      static const std::string_view special = "\"\\\n\r\t\f\b", letters = "\"\\nrtfb";
      size_t at = p < 0x80 ? special.find(static_cast<char>(p)) : special.npos;
      if (at != special.npos) {
        out += '\\';
        out += letters[at];
      } else if (p < 0x20 || (style.ensureAscii && p >= 0x7F)) {
        if (p >= 0x10000) {
          p -= 0x10000;
          escape(0xD800 + (p >> 10));
          p = 0xDC00 + (p & 0x3FF);
        }
        escape(p);
      } else {
        out.append(s, i, n);
      }
    }
    meter.settle();
    out += '"';
  }

  void escape(uint32_t unit) {
    out += "\\u";
    for (int shift = 12; shift >= 0; shift -= 4)
      out += "0123456789abcdef"[unit >> shift & 15];
  }

  const JsonStyle &style;
  int depth = 0;
};

} // namespace

Result<Value> readJson(std::string_view text, const std::string &file) {
  if (text.substr(0, 3) == "\xEF\xBB\xBF")
    text.remove_prefix(3);
  try {
    const RenderLimits limits;
    Budget budget(limits.memoryBytes, limits.steps);
    Budget::spend(text.size() / 4);
    Builder builder;
    if (!nlohmann::ordered_json::sax_parse(text.begin(), text.end(), &builder))
      return fail(ErrorCode::ContextSyntax, "%s: %s", file.c_str(), builder.problem.c_str());
    return builder.result;
  } catch (const Refusal &refusal) {
    return fail(refusal.code, "%s: %s", file.c_str(), refusal.message.c_str());
  }
}

String writeJson(const Value &value, const JsonStyle &style) {
  Writer writer(style);
  writer.value(value);
  return std::move(writer.out);
}

} // namespace stepdown::jinja
