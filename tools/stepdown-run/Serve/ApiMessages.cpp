// The messages of a chat: what is said, what functions were called, and what these gave back.
#include "lib/Base/Suggestion.h"
#include "tools/stepdown-run/JsonText.h"
#include "tools/stepdown-run/Serve/ApiFields.h"
#include <algorithm>

namespace stepdown::run {

using nlohmann::json;

/// A string, or an array of parts that are text, which are joined by line breaks.
Refused readContent(const json &value, const std::string &field, std::string &content) {
  if (value.is_string())
    return readText(value, field, content);
  if (!value.is_array())
    return bad(field, "a string or an array of parts", value);
  for (size_t i = 0; i < value.size(); ++i) {
    const json &part = value[i];
    const std::string where = field + "[" + std::to_string(i) + "]";
    if (!part.is_object() || !part.contains("type") || !part["type"].is_string())
      return bad(where, "an object with a type", part);
    if (part["type"] != "text")
      return lacking(where + ".type");
    if (part.size() != 2 || !part.contains("text") || !part["text"].is_string())
      return bad(where, "a type and a text, and no more", part);
    content += (i ? "\n" : "") + part["text"].get<std::string>();
  }
  return std::nullopt;
}

namespace {

Refused missing(const std::string &field, const char *name) {
  return Refusal{fail(ErrorCode::RequestField, "%s: expects %s, but there is none", field.c_str(), name), field};
}

/// {"id", "type": "function", "function": {"name", "arguments"}}
Refused readCall(const json &value, const std::string &field, ToolCall &call) {
  const json none;
  if (!value.is_object())
    return bad(field, "an object", value);
  for (const auto &[key, item] : value.items())
    if (key != "id" && key != "type" && key != "function" && key != "index")
      return bad(field + "." + key.substr(0, 60), "id, type and function, and no more", item);
  if (Refused no = readText(value.value("id", none), field + ".id", call.id))
    return no;
  if (value.value("type", json("function")) != "function")
    return lacking(field + ".type");
  const json function = value.value("function", none);
  if (!function.is_object() || function.size() != 2 || !function.contains("name") || !function.contains("arguments"))
    return bad(field + ".function", "a name and arguments, and no more", function);
  const std::string where = field + ".function.arguments";
  if (Refused no = readText(function["name"], field + ".function.name", call.name))
    return no;
  if (Refused no = readText(function["arguments"], where, call.arguments))
    return no;
  if (call.arguments.empty())
    call.arguments = "{}";
  const Result<json> read = parseJson<json>(call.arguments, where);
  if (!read)
    return Refusal{read.error(), where};
  return read->is_object() ? std::nullopt : bad(where, "the text of an object", *read);
}

Refused readCalls(const json &value, const std::string &field, std::vector<ToolCall> &calls) {
  if (!value.is_array())
    return bad(field, "an array of calls", value);
  for (size_t i = 0; i < value.size(); ++i)
    if (Refused no = readCall(value[i], field + "[" + std::to_string(i) + "]", calls.emplace_back()))
      return no;
  return std::nullopt;
}

Refused readRole(const json &value, const std::string &field, std::string &role) {
  static const std::vector<std::string> roles = {"system", "developer", "user", "assistant", "tool"};
  if (Refused no = readText(value, field, role))
    return no;
  if (role == "function") // what tools were called once
    return lacking(field);
  if (std::find(roles.begin(), roles.end(), role) == roles.end())
    return bad(field, alternatives(roles), value);
  if (role == "developer") // templates know it by its older name
    role = "system";
  return std::nullopt;
}

Refused readMessage(const json &value, const std::string &field, ApiRequest::Message &message) {
  if (!value.is_object())
    return bad(field, "an object", value);
  if (!value.contains("role"))
    return missing(field, "a role");
  if (Refused no = readRole(value["role"], field + ".role", message.role))
    return no;
  const bool assistant = message.role == "assistant", tool = message.role == "tool";
  for (const auto &[key, item] : value.items()) {
    const std::string where = field + "." + key.substr(0, 60);
    if (key == "role" || (item.is_null() && key != "content"))
      continue;
    Refused no;
    if (key == "content" && item.is_null() && assistant)
      continue; // it called functions, or said nothing
    if (key == "content")
      no = readContent(item, where, message.content);
    else if (key == "tool_calls" && assistant)
      no = readCalls(item, where, message.calls);
    else if (key == "tool_call_id" && tool)
      no = readText(item, where, message.callId);
    else if (key == "name" && tool)
      no = readText(item, where, message.name);
    else if (key == "annotations" && item == json::array())
      continue; // there are none
    else if (key == "name" || key == "tool_calls" || key == "tool_call_id" || key == "function_call" ||
             key == "refusal" || key == "audio" || key == "annotations")
      no = lacking(where);
    else
      no = Refusal{fail(ErrorCode::RequestField, "%s: expects role and content, but got \"%s\"", field.c_str(),
                        key.substr(0, 60).c_str()),
                   where};
    if (no)
      return no;
  }
  if (tool && message.callId.empty())
    return missing(field, "the tool_call_id of a call");
  if (message.calls.empty() && (!value.contains("content") || value["content"].is_null()))
    return missing(field, "content");
  return std::nullopt;
}

} // namespace

Refused readMessages(const json &value, std::vector<ApiRequest::Message> &messages) {
  if (!value.is_array() || value.empty())
    return bad("messages", "an array of messages", value);
  std::map<std::string, std::string> called; // id -> name
  for (size_t i = 0; i < value.size(); ++i) {
    const std::string field = "messages[" + std::to_string(i) + "]";
    ApiRequest::Message &message = messages.emplace_back();
    if (Refused no = readMessage(value[i], field, message))
      return no;
    for (size_t j = 0; j < message.calls.size(); ++j) {
      const ToolCall &call = message.calls[j];
      const std::string id = field + ".tool_calls[" + std::to_string(j) + "].id";
      if (call.id.empty())
        return bad(id, "an id that is not empty", call.id);
      if (!called.emplace(call.id, call.name).second)
        return bad(id, "an id of its own, but another call has it too", call.id);
    }
    if (message.role != "tool")
      continue;
    const auto call = called.find(message.callId);
    if (call == called.end())
      return bad(field + ".tool_call_id", "the id of a call in a message before", value[i]["tool_call_id"]);
    if (!message.name.empty() && message.name != call->second)
      return bad(field + ".name", "the function that was called, " + call->second.substr(0, 64), message.name);
    message.name = call->second;
  }
  return std::nullopt;
}

} // namespace stepdown::run
