#include "tools/stepdown-run/JsonText.h"

#include <optional>

namespace stepdown::run {

std::string_view memberText(std::string_view object, std::string_view name) {
  size_t depth = 0, begin = 0; // begin: of a member's value
  std::optional<std::string_view> key;
  for (size_t i = 0; i < object.size(); ++i) {
    const char c = object[i];
    if (c == '"') {
      const size_t first = ++i;
      for (; i < object.size() && object[i] != '"'; ++i)
        i += object[i] == '\\';
      if (depth == 1 && !key)
        key = object.substr(first, i - first);
    } else if (depth == 1 && c == ':') {
      begin = i + 1;
    } else if (depth == 1 && (c == ',' || c == '}')) {
      if (key == name)
        return object.substr(begin, i - begin);
      key.reset();
    }
    if (c == '{' || c == '[')
      ++depth;
    else if (c == '}' || c == ']')
      depth -= depth > 0;
  }
  return {};
}

} // namespace stepdown::run
