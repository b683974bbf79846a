// The fields `tools`, `tool_choice` and `parallel_tool_calls` of a chat.
#pragma once
#include "tools/stepdown-run/Serve/ApiFields.h"
#include <string_view>

namespace stepdown::run {

/// `value`, of which `text` is the text as it was written. E0611; E1208 for tools that are no functions.
Refused readTools(const nlohmann::json &value, std::string_view text, ToolRequest &request);
Refused readToolChoice(const nlohmann::json &value, ToolRequest &request);
/// What is known of them when all are read. E1317.
Refused expectToolChoice(const ToolRequest &request, bool chosen);

} // namespace stepdown::run
