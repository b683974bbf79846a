#include "tools/stepdown-run/Serve/ApiTools.h"

#include "lib/Base/Suggestion.h"
#include "tools/stepdown-run/JsonText.h"
#include <algorithm>
#include <nlohmann/json.hpp>

namespace stepdown::run {

using nlohmann::json;

namespace {

constexpr char noParameters[] = R"({"type":"object","properties":{},"additionalProperties":false})";

bool isName(const std::string &name) {
  return !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
}

/// {"name", "description", "parameters", "strict"}, of which the name alone has to be there.
Refused readFunction(const json &value, const std::string &field, Tool &tool) {
  if (!value.is_object() || !value.contains("name"))
    return bad(field, "an object with a name", value);
  for (const auto &[key, item] : value.items()) {
    const std::string where = field + "." + key.substr(0, 60);
    std::string text;
    Refused no;
    if (key == "name")
      no = item.is_string() && isName(item.get<std::string>())
               ? std::nullopt
               : bad(where, "1 to 64 letters, digits, _ and - of ASCII", item);
    else if (item.is_null())
      continue;
    else if (key == "description")
      no = readText(item, where, text);
    else if (key == "strict")
      no = readFlag(item, where, tool.strict);
    else if (key != "parameters")
      no = bad(where, "name, description, parameters and strict, and no more", item);
    else if (!item.is_object())
      no = bad(where, "a schema, as an object", item);
    else if (!item.contains("type") || item["type"] != "object")
      no = bad(where + ".type", "\"object\", for arguments are one", item.value("type", json()));
    if (no)
      return no;
  }
  tool.name = value["name"].get<std::string>();
  return std::nullopt;
}

/// Whether the members that are looked for are spelt without escapes.
bool isPlain(std::string_view tool) {
  for (auto [name, value] : memberTexts(memberText(tool, "function")))
    if (name.find('\\') != name.npos)
      return false;
  return !memberText(tool, "function").empty();
}

/// A tool as the model is told of it: what the request has, spelt as there, but for `strict`, which says something to
/// us alone. `parameters` become the text of those.
std::string toldText(std::string_view tool, std::string &parameters) {
  std::string told = "{\"type\":\"function\",\"function\":";
  char separator = '{';
  for (auto [name, value] : memberTexts(memberText(tool, "function"))) {
    if (name == "parameters" && json::parse(value).is_object())
      parameters = value;
    if (name == "strict")
      continue;
    ((told += separator) += '"').append(name).append("\":").append(value);
    separator = ',';
  }
  return told + "}}";
}

} // namespace

Refused readTools(const json &value, std::string_view text, ToolRequest &request) {
  if (!value.is_array())
    return bad("tools", "an array of tools", value);
  if (value.size() > ToolRequest::most)
    return Refusal{
        fail(ErrorCode::RequestField, "tools: expects at most %zu, but got %zu", ToolRequest::most, value.size()),
        "tools"};
  const std::string plain = text.empty() ? value.dump() : ""; // where a name is written with escapes
  std::vector<std::string_view> written = elementTexts(text.empty() ? plain : text);
  request.json = "[";
  for (size_t i = 0; i < value.size(); ++i) {
    const std::string field = "tools[" + std::to_string(i) + "]";
    if (!value[i].is_object() || !value[i].contains("type"))
      return bad(field, "an object with a type", value[i]);
    if (value[i]["type"] != "function")
      return lacking(field + ".type");
    for (const auto &[key, item] : value[i].items())
      if (key != "type" && key != "function")
        return bad(field + "." + key.substr(0, 60), "type and function, and no more", item);
    Tool tool;
    if (Refused no = readFunction(value[i].value("function", json()), field + ".function", tool))
      return no;
    for (const Tool &other : request.tools)
      if (other.name == tool.name)
        return bad(field + ".function.name", "a name of its own, but another tool has it too", tool.name);
    tool.parameters = noParameters;
    const std::string spelt = isPlain(written[i]) ? "" : value[i].dump();
    request.json += (i ? "," : "") + toldText(spelt.empty() ? written[i] : spelt, tool.parameters);
    request.tools.push_back(std::move(tool));
  }
  request.json += "]";
  return std::nullopt;
}

Refused readToolChoice(const json &value, ToolRequest &request) {
  const char *expected = "auto, none, required, or {\"type\": \"function\", \"function\": {\"name\"}}";
  if (value.is_object()) {
    if (value.contains("type") && value["type"].is_string() && value["type"] != "function")
      return lacking("tool_choice.type");
    const json function = value.value("function", json());
    if (value.size() != 2 || !value.contains("type") || !function.is_object() || function.size() != 1 ||
        !function.contains("name") || !function["name"].is_string())
      return bad("tool_choice", expected, value);
    request.choice = ToolRequest::Choice::Required;
    request.named = function["name"].get<std::string>();
    return std::nullopt;
  }
  if (value == "auto")
    request.choice = ToolRequest::Choice::Auto;
  else if (value == "none")
    request.choice = ToolRequest::Choice::None;
  else if (value == "required")
    request.choice = ToolRequest::Choice::Required;
  else
    return bad("tool_choice", expected, value);
  return std::nullopt;
}

Refused expectToolChoice(const ToolRequest &request, bool chosen) {
  if (request.tools.empty()) {
    if (chosen && request.choice != ToolRequest::Choice::None)
      return Refusal{fail(ErrorCode::ToolChoice, "tool_choice: expects tools to choose from, but there are none"),
                     "tool_choice"};
    return std::nullopt;
  }
  std::vector<std::string> names;
  for (const Tool &tool : request.tools)
    names.push_back(tool.name);
  if (request.named.empty() || std::find(names.begin(), names.end(), request.named) != names.end())
    return std::nullopt;
  const std::string named = request.named.substr(0, 64);
  return Refusal{fail(ErrorCode::ToolChoice, "tool_choice.function.name: expects the name of a tool, but got \"%s\"%s",
                      named.c_str(), suggestion(named, names).c_str()),
                 "tool_choice"};
}

} // namespace stepdown::run
