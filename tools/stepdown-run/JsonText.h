// The text of JSON that a user wrote, as it stands.
#pragma once
#include "lib/Base/StrictJson.h"

namespace stepdown::run {

/// The text of the member `name` of `object`, the text of a JSON object; empty where none has that spelling.
std::string_view memberText(std::string_view object, std::string_view name);

} // namespace stepdown::run
