// What somebody may have meant who typed a name that nothing has.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace stepdown {

/// Edits that make `b` of `a`: a letter put in, left out or exchanged, or two neighbours swapped.
size_t editDistance(std::string_view a, std::string_view b);

/// The name that `typed` is most like: at most a third of its letters apart, or the only one that it begins; else
/// empty.
std::string closest(std::string_view typed, const std::vector<std::string> &names);

/// "; did you mean NAME?" for the closest of `names`, each of which begins with `prefix` when it is shown; else empty.
std::string suggestion(std::string_view typed, const std::vector<std::string> &names, std::string_view prefix = "");

/// "a, b or c".
std::string alternatives(const std::vector<std::string> &names);

} // namespace stepdown
