#include "tools/stepdown-run/JsonText.h"

namespace stepdown::run {
namespace {

/// Calls `part(name, value)` for each member of an object, or with no name for each element of an array, in order,
/// until it says false.
template <class Part> void eachPart(std::string_view text, Part part) {
  const size_t opening = text.find_first_of("[{");
  if (opening == text.npos)
    return;
  const bool array = text[opening] == '[';
  size_t depth = 1, begin = array ? opening + 1 : 0; // begin: of a value; 0: a name comes first
  std::string_view name;
  for (size_t i = opening + 1; i < text.size() && depth; ++i) {
    const char c = text[i];
    if (c == '"') {
      const size_t first = ++i;
      for (; i < text.size() && text[i] != '"'; ++i)
        i += text[i] == '\\';
      if (depth == 1 && !begin)
        name = text.substr(first, i - first);
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if (depth == 1 && (c == ',' || c == '}' || c == ']')) {
      const std::string_view value = begin ? text.substr(begin, i - begin) : std::string_view();
      if (value.find_first_not_of(" \t\r\n") != value.npos && !part(name, value))
        return;
      begin = array ? i + 1 : 0;
      depth -= c != ',';
    } else if (c == '}' || c == ']') {
      --depth;
    } else if (depth == 1 && c == ':' && !begin) {
      begin = i + 1;
    }
  }
}

} // namespace

std::string_view memberText(std::string_view object, std::string_view name) {
  std::string_view found;
  eachPart(object, [&](std::string_view each, std::string_view value) {
    if (each == name)
      found = value;
    return found.empty();
  });
  return found;
}

std::vector<std::string_view> elementTexts(std::string_view array) {
  std::vector<std::string_view> all;
  eachPart(array, [&](std::string_view, std::string_view value) {
    all.push_back(value);
    return true;
  });
  return all;
}

std::vector<std::pair<std::string_view, std::string_view>> memberTexts(std::string_view object) {
  std::vector<std::pair<std::string_view, std::string_view>> all;
  eachPart(object, [&](std::string_view name, std::string_view value) {
    all.emplace_back(name, value);
    return true;
  });
  return all;
}

} // namespace stepdown::run
