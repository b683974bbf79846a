// /v1/embeddings: texts or ids to vectors, by a model that is a sentence encoder.
#include "lib/Base/StrictJson.h"
#include "tools/stepdown-run/Serve/Api.h"
#include <cstring>

namespace stepdown::run {
namespace {

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
  if (std::optional<Refusal> no = readEmbeddingRequest(exchange.request.body, request))
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
