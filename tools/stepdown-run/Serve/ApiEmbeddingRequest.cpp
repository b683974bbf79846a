// What a request for embeddings says.
#include "lib/Base/StrictJson.h"
#include "lib/Base/Suggestion.h"
#include "tools/stepdown-run/Serve/ApiFields.h"

namespace stepdown::run {

using nlohmann::json;

namespace {

constexpr size_t mostInputs = 2048; ///< as OpenAI's

Refused readIds(const json &value, const std::string &field, std::vector<int32_t> &ids) {
  for (size_t i = 0; i < value.size(); ++i) {
    int64_t id = 0;
    if (Refused no = readWhole(value[i], field + "[" + std::to_string(i) + "]", 0, INT32_MAX, id))
      return no;
    ids.push_back(static_cast<int32_t>(id));
  }
  return std::nullopt;
}

/// A text, ids, or a list of either.
Refused readInput(const json &value, EmbeddingRequest &request) {
  constexpr const char *expected = "a string, an array of strings, ids, or an array of arrays of ids";
  if (value.is_string()) {
    request.inputs.push_back(value.get<std::string>());
    return std::nullopt;
  }
  if (!value.is_array() || value.empty())
    return bad("input", expected, value);
  if (value[0].is_number())
    return readIds(value, "input", std::get<1>(request.inputs.emplace_back(std::vector<int32_t>())));
  if (value.size() > mostInputs)
    return bad("input", "at most " + std::to_string(mostInputs) + " texts", value.size());
  for (size_t i = 0; i < value.size(); ++i) {
    const std::string field = "input[" + std::to_string(i) + "]";
    if (value[i].is_string()) {
      request.inputs.push_back(value[i].get<std::string>());
    } else if (value[i].is_array()) {
      if (Refused no = readIds(value[i], field, std::get<1>(request.inputs.emplace_back(std::vector<int32_t>()))))
        return no;
    } else {
      return bad(field, "a string or an array of ids", value[i]);
    }
  }
  return std::nullopt;
}

} // namespace

std::optional<Refusal> readEmbeddingRequest(std::string_view body, EmbeddingRequest &request) {
  Result<json> object = parseJson<json>(body, "request");
  if (!object)
    return Refusal{object.error(), ""};
  if (!object->is_object())
    return bad("request", "an object", *object);
  const std::vector<std::string> known = {"model", "input", "encoding_format", "dimensions", "user"};
  for (const auto &[key, value] : object->items()) {
    Refused no;
    std::string text;
    if (key == "input")
      no = readInput(value, request);
    else if (value.is_null())
      continue;
    else if (key == "model")
      no = readText(value, key, request.model);
    else if (key == "user")
      no = readText(value, key, text);
    else if (key == "dimensions")
      no = readWhole(value, key, 1, INT32_MAX, request.dimensions);
    else if (key == "encoding_format") {
      no = readText(value, key, text);
      if (!no && text != "float" && text != "base64")
        no = bad(key, "float or base64", value);
      request.base64 = text == "base64";
    } else
      no = Refusal{fail(ErrorCode::RequestField, "%s: expects %s%s", key.substr(0, 60).c_str(),
                        alternatives(known).c_str(), suggestion(key.substr(0, 60), known).c_str()),
                   key.substr(0, 100)};
    if (no)
      return no;
  }
  if (request.inputs.empty())
    return Refusal{fail(ErrorCode::RequestField, "input: expects a text, but it is missing"), "input"};
  return std::nullopt;
}

} // namespace stepdown::run
