// /v1/embeddings: texts or ids to vectors, by a model that is a sentence encoder.
#include "lib/Base/StrictJson.h"
#include "lib/Base/Suggestion.h"
#include "tools/stepdown-run/Serve/Api.h"
#include "tools/stepdown-run/Serve/ApiFields.h"
#include <cstring>

namespace stepdown::run {
namespace {

using nlohmann::json;

constexpr size_t mostInputs = 2048; ///< as OpenAI's

struct EmbeddingRequest {
  std::string model;
  std::vector<std::variant<std::string, std::vector<int32_t>>> inputs;
  bool base64 = false;
  int64_t dimensions = 0; ///< 0: not said
};

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

Refused readRequest(std::string_view body, EmbeddingRequest &request) {
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

/// RFC 4648.
std::string base64Of(const uint8_t *bytes, size_t size) {
  constexpr char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (size_t at = 0; at < size; at += 3) {
    const size_t left = std::min<size_t>(3, size - at);
    uint32_t group = 0;
    for (size_t i = 0; i < 3; ++i)
      group = group << 8 | (i < left ? bytes[at + i] : 0);
    for (size_t i = 0; i < 4; ++i)
      out += i <= left ? digits[group >> (18 - 6 * i) & 63] : '=';
  }
  return out;
}

std::string answerOf(const std::vector<float> &values, size_t width, bool base64, const std::string &model,
                     size_t tokens) {
  std::string text = "{\"object\":\"list\",\"data\":[";
  char number[32];
  for (size_t i = 0; i * width < values.size(); ++i) {
    const float *row = values.data() + i * width;
    text += std::string(i ? "," : "") + "{\"object\":\"embedding\",\"index\":" + std::to_string(i) + ",\"embedding\":";
    if (base64) // float32, little-endian, as the machines that this is built for are
      text += "\"" + base64Of(reinterpret_cast<const uint8_t *>(row), width * sizeof(float)) + "\"";
    for (size_t c = 0; c < width && !base64; ++c) {
      std::snprintf(number, sizeof number, "%c%.9g", c ? ',' : '[', double(row[c]));
      text += number;
    }
    text += base64 ? "}" : "]}";
  }
  const std::string count = std::to_string(tokens);
  return text + "],\"model\":" + jsonText(model) + ",\"usage\":{\"prompt_tokens\":" + count +
         ",\"total_tokens\":" + count + "}}";
}

} // namespace

void Api::embeddings(Exchange &exchange) {
  EmbeddingRequest request;
  if (Refused no = readRequest(exchange.request.body, request))
    return refuse(exchange, *no);
  ServedModel *model = modelOf(exchange, request.model);
  if (!model)
    return;
  if (!model->embedding)
    return refuse(exchange, {fail(ErrorCode::RequestUnsupported,
                                  "%s: expects a model that makes embeddings, but it "
                                  "continues texts",
                                  model->id.c_str()),
                             "model"});
  const size_t width = model->embedding->width(), longest = model->embedding->longest();
  if (request.dimensions && static_cast<size_t>(request.dimensions) != width)
    return refuse(exchange,
                  {fail(ErrorCode::RequestUnsupported, "dimensions: expects %zu, the width of %s, but got %lld", width,
                        model->id.c_str(), static_cast<long long>(request.dimensions)),
                   "dimensions"});
  std::vector<Embedder::Text> texts;
  size_t tokens = 0;
  for (size_t i = 0; i < request.inputs.size(); ++i) {
    const std::string field = request.inputs.size() == 1 ? "input" : "input[" + std::to_string(i) + "]";
    const auto *text = std::get_if<std::string>(&request.inputs[i]);
    Result<std::vector<int32_t>> ids =
        text ? model->tokenizer.encode(*text) : Result<std::vector<int32_t>>(std::move(std::get<1>(request.inputs[i])));
    if (!ids)
      return refuse(exchange, {ids.error(), field});
    if (ids->size() > longest)
      return refuse(exchange, {fail(ErrorCode::EmbeddingLength, "%s: expects at most %zu tokens, but got %zu",
                                    field.c_str(), longest, ids->size()),
                               field});
    tokens += ids->size();
    texts.push_back(std::move(*ids));
  }
  const auto done = [this, reply = exchange.reply, path = exchange.counted, width, base64 = request.base64,
                     id = model->id, tokens](const Result<std::vector<float>> &made) {
    Exchange later{{}, reply, path};
    if (made)
      send(later, 200, "application/json", answerOf(*made, width, base64, id, tokens));
    else
      refuse(later, {made.error(), "input"});
  };
  if (Status taken = model->embedding->submit(std::move(texts), done); !taken) {
    HttpHeaders headers;
    if (taken.error().code == ErrorCode::ServerBusy)
      headers.emplace_back("retry-after", "1");
    refuse(exchange, {taken.error(), ""}, headers);
  }
}

} // namespace stepdown::run
