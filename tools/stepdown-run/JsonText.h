// The text of JSON that a user wrote, as it stands.
#pragma once
#include "lib/Base/StrictJson.h"
#include <string_view>
#include <utility>
#include <vector>

namespace stepdown::run {

/// The text of the member `name` of `object`, the text of a JSON object; empty where none has that spelling.
std::string_view memberText(std::string_view object, std::string_view name);

/// The texts of the elements of `array`, that of a JSON array.
std::vector<std::string_view> elementTexts(std::string_view array);
/// The names of the members of `object`, as they are spelt, with the texts of their values.
std::vector<std::pair<std::string_view, std::string_view>> memberTexts(std::string_view object);

} // namespace stepdown::run
