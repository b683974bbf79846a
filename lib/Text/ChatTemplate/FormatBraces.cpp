// str.format: replacement fields, with attributes and items looked up as the sandbox does.
#include "lib/Text/ChatTemplate/Operations.h"
#include "lib/Text/ChatTemplate/Text.h"

namespace stepdown::jinja {

namespace {

class Braces {
public:
  explicit Braces(const Arguments &arguments) : arguments(arguments) {}

  String expand(std::string_view s, int depth) {
    if (depth < 0)
      raise("Max string recursion exceeded");
    Budget::spendDecoding(s.size());
    String out;
    for (size_t i = 0; i < s.size(); ++i) {
      if (s[i] != '{' && s[i] != '}') {
        out += s[i];
        continue;
      }
      if (i + 1 < s.size() && s[i + 1] == s[i]) {
        out += s[i++];
        continue;
      }
      if (s[i] == '}')
        raise("Single '}' encountered in format string");
      size_t close = closing(s, i + 1);
      out += field(s.substr(i + 1, close - i - 1), depth);
      i = close;
    }
    return out;
  }

private:
  static size_t closing(std::string_view s, size_t begin) {
    if (begin >= s.size())
      raise("Single '{' encountered in format string");
    int open = 1;
    for (size_t i = begin; i < s.size(); ++i) {
      if (s[i] == '[') { // an index may hold braces
        size_t end = s.find(']', i);
        if (end == s.npos)
          raise("expected '}' before end of string");
        i = end;
        continue;
      }
      open += s[i] == '{' ? 1 : s[i] == '}' ? -1 : 0;
      if (open == 0)
        return i;
    }
    raise("expected '}' before end of string");
  }

  String field(std::string_view text, int depth) {
    size_t at = 0;
    while (at < text.size() && text[at] != '!' && text[at] != ':')
      at = text[at] == '[' ? std::min(text.find(']', at), text.size() - 1) + 1 : at + 1;
    Value value = lookUp(text.substr(0, at));
    if (at < text.size() && text[at] == '!') {
      char how = at + 1 < text.size() ? text[at + 1] : 0;
      if (how != 's' && how != 'r' && how != 'a')
        raise("Unknown conversion specifier '" + String(1, how) + "'");
      value = Value::string(how == 's' ? toText(value) : toRepr(value));
      at += 2;
      if (at < text.size() && text[at] != ':')
        raise("expected ':' after conversion specifier");
    }
    String specification = at < text.size() ? expand(text.substr(at + 1), depth - 1) : String();
    return formatValue(value, specification);
  }

  /// name(.attribute | [index])*
  Value lookUp(std::string_view path) {
    size_t at = path.find_first_of(".[");
    String name(path.substr(0, at));
    at = at == path.npos ? path.size() : at;
    Value value = argument(name);
    while (at < path.size()) {
      if (path[at] == '.') {
        size_t end = std::min(path.find_first_of(".[", at + 1), path.size());
        if (end == at + 1)
          raise("Empty attribute in format string");
        value = attributeOf(value, String(path.substr(at + 1, end - at - 1)));
        at = end;
        continue;
      }
      size_t end = path.find(']', at);
      if (path[at] != '[' || end == path.npos || end == at + 1)
        raise("Empty attribute in format string");
      String key(path.substr(at + 1, end - at - 1));
      bool digits = key.find_first_not_of("0123456789") == key.npos && key.size() < 18;
      value = itemOf(value, digits ? Value::integer(*parseInteger(key, 10)) : Value::string(key));
      at = end + 1;
    }
    return value;
  }

  Value argument(const String &name) {
    bool digits = !name.empty() && name.find_first_not_of("0123456789") == name.npos;
    if (name.empty() || digits) {
      if (digits ? automatic > 0 : manual)
        raise(digits ? "cannot switch from automatic field numbering to manual field specification"
                     : "cannot switch from manual field specification to automatic field numbering");
      manual |= digits;
      size_t index = digits ? (name.size() < 9 ? static_cast<size_t>(*parseInteger(name, 10)) : SIZE_MAX) : automatic++;
      if (index >= arguments.positional.size())
        raise("Replacement index " + (digits ? name : decimal(index)) + " out of range for positional args tuple");
      return arguments.positional[index];
    }
    Budget::spend(1 + arguments.named.size() / 4 + name.size() / 64);
    for (const auto &[key, value] : arguments.named)
      if (key == name)
        return value;
    raise("KeyError: " + reprOf(name));
  }

  const Arguments &arguments;
  size_t automatic = 0;
  bool manual = false;
};

} // namespace

String formatBraces(const Value &text, const Arguments &arguments) { return Braces(arguments).expand(text.text(), 2); }

} // namespace stepdown::jinja
