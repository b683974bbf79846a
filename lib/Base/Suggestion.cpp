#include "lib/Base/Suggestion.h"

#include <algorithm>

namespace stepdown {
namespace {

/// No name is longer; what is typed may be, and is not worth its square.
constexpr size_t mostLetters = 64;

} // namespace

size_t editDistance(std::string_view a, std::string_view b) {
  const size_t width = b.size() + 1;
  std::vector<size_t> rows(3 * width); // of a's letters before the last one, the last one and this one
  size_t *before = rows.data(), *last = before + width, *row = last + width;
  for (size_t j = 0; j <= b.size(); ++j)
    last[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], before[j - 2] + 1);
    }
    size_t *free = before;
    before = last;
    last = row;
    row = free;
  }
  return last[b.size()];
}

std::string closest(std::string_view typed, const std::vector<std::string> &names) {
  if (typed.empty() || typed.size() > mostLetters)
    return "";
  const std::string *best = nullptr, *begun = nullptr;
  size_t least = std::max<size_t>(1, typed.size() / 3) + 1, beginnings = 0;
  for (const std::string &name : names) {
    if (name.size() > mostLetters)
      continue;
    if (typed.size() > 1 && name.compare(0, typed.size(), typed) == 0)
      begun = &name, ++beginnings;
    // Each letter that one has more is an edit.
    if (std::max(typed.size(), name.size()) - std::min(typed.size(), name.size()) >= least)
      continue;
    const size_t distance = editDistance(typed, name);
    // Of a word of one or two letters nothing would be left.
    if (distance < least && distance < typed.size())
      best = &name, least = distance;
  }
  if (beginnings == 1)
    return *begun;
  return best ? *best : "";
}

std::string suggestion(std::string_view typed, const std::vector<std::string> &names, std::string_view prefix) {
  std::string name = closest(typed, names);
  return name.empty() ? "" : "; did you mean " + std::string(prefix) + name + "?";
}

std::string alternatives(const std::vector<std::string> &names) {
  std::string text;
  for (size_t i = 0; i < names.size(); ++i)
    text += (i == 0 ? "" : i + 1 == names.size() ? " or " : ", ") + names[i];
  return text;
}

} // namespace stepdown
