// Fields of requests of OpenAI's interface, each read or refused by name.
#pragma once
#include "tools/stepdown-run/Serve/ApiRequest.h"
#include <nlohmann/json_fwd.hpp>

namespace stepdown::run {

using Refused = std::optional<Refusal>;

/// E0611 "FIELD: expects EXPECTED, but got ...".
Refused bad(const std::string &field, const std::string &expected, const nlohmann::json &actual);
/// E1208: it asks for what this server does not do.
Refused lacking(const std::string &field);

Refused readText(const nlohmann::json &value, const std::string &field, std::string &text);
Refused readFlag(const nlohmann::json &value, const std::string &field, bool &flag);
Refused readWhole(const nlohmann::json &value, const std::string &field, int64_t low, int64_t high, int64_t &number);

/// The messages of a chat, at least one.
Refused readMessages(const nlohmann::json &value, std::vector<ApiRequest::Message> &messages);
/// A string, or an array of parts that are text, which are joined by line breaks.
Refused readContent(const nlohmann::json &value, const std::string &field, std::string &content);

} // namespace stepdown::run
