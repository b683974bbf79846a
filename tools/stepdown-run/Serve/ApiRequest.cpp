#include "tools/stepdown-run/Serve/ApiRequest.h"

#include "lib/Base/Suggestion.h"
#include "runtime/Scheduler/Scheduler.h"
#include "runtime/Speculation/NgramDrafter.h"
#include "tools/stepdown-run/ConstraintOptions.h"
#include "tools/stepdown-run/JsonText.h"
#include "tools/stepdown-run/Serve/ApiTools.h"
#include <algorithm>
#include <cstring>

namespace stepdown::run {
namespace {

using nlohmann::json;

constexpr size_t stopTexts = 64; ///< each is sought in every token

/// Fields of OpenAI's interface that ask for what is not done here, unless they have this value, or null.
struct Lacking {
  const char *name;
  const char *neutral; ///< JSON; empty: there is none
};
constexpr Lacking lackingOfAll[] = {{"service_tier", "\"auto\""}, {"metadata", "{}"}, {"store", "false"}};
constexpr Lacking lackingOfCompletions[] = {{"suffix", "\"\""}, {"echo", "false"}, {"best_of", "1"}};
constexpr Lacking lackingOfChat[] = {{"functions", "[]"},
                                     {"function_call", "\"none\""},
                                     {"modalities", "[\"text\"]"},
                                     {"audio", ""},
                                     {"reasoning_effort", "\"none\""},
                                     {"verbosity", ""},
                                     {"web_search_options", ""},
                                     {"chat_template_kwargs", "{}"}};

Refused readIds(const json &value, const std::string &field, std::vector<int32_t> &ids) {
  for (const json &item : value) {
    int64_t id = 0;
    if (Refused no = readWhole(item, field, 0, INT32_MAX, id))
      return no;
    ids.push_back(static_cast<int32_t>(id));
  }
  return std::nullopt;
}

/// A text, ids, texts, or arrays of ids.
Refused readPrompts(const json &value, ApiRequest &request) {
  const char *expected = "a string, an array of ids, or an array of such";
  if (value.is_string()) {
    request.prompts.emplace_back(value.get<std::string>());
    return std::nullopt;
  }
  if (!value.is_array() || value.empty())
    return bad("prompt", expected, value);
  if (value[0].is_number()) {
    std::vector<int32_t> ids;
    Refused no = readIds(value, "prompt", ids);
    request.prompts.emplace_back(std::move(ids));
    return no;
  }
  for (const json &item : value) {
    if (item.is_string() && value[0].is_string()) {
      request.prompts.emplace_back(item.get<std::string>());
    } else if (item.is_array() && value[0].is_array()) {
      std::vector<int32_t> ids;
      if (Refused no = readIds(item, "prompt", ids))
        return no;
      request.prompts.emplace_back(std::move(ids));
    } else {
      return bad("prompt", expected, item);
    }
  }
  return std::nullopt;
}

constexpr const char *constraintFields[] = {"grammar", "json_schema", "regex", "choices"};

/// Fields that the requests of generate have too, under the same name.
bool isShared(const std::string &name) {
  if (constraintField(name))
    return true;
  static const std::vector<std::string> others = {"n", "seed", "stop", "logit_bias", "ignore_eos", "sampling_order"};
  const std::vector<SamplingField> &fields = samplingFields();
  return std::find(others.begin(), others.end(), name) != others.end() ||
         std::any_of(fields.begin(), fields.end(), [&](const SamplingField &field) { return name == field.name; });
}

/// Reads one object field by field.
class Reader {
public:
  /// `body`: the text of the object whose fields are read.
  Reader(std::string_view body, Endpoint endpoint, ApiRequest &request)
      : body(body), chat(endpoint == Endpoint::Chat), endpoint(endpoint), request(request) {}

  Refused read(const std::string &key, const json &value) {
    if (value.is_null())
      return isKnown(key) ? std::nullopt : unknown(key);
    if (key == "model")
      return readText(value, key, request.model);
    if (key == "prompt" && !chat)
      return readPrompts(value, request);
    if (key == "messages" && chat)
      return readMessages(value, request.messages);
    if (key == "max_tokens" || (key == "max_completion_tokens" && chat)) {
      if (limited)
        return Refusal{
            fail(ErrorCode::RequestField, "%s: expects max_tokens or max_completion_tokens, but got both", key.c_str()),
            key};
      limited = true;
      return readWhole(value, key, 0, INT32_MAX, request.asked.maxTokens);
    }
    if (key == "stream")
      return readFlag(value, key, request.stream);
    if (key == "stream_options")
      return streamOptions(value);
    if (key == "logprobs" && !chat)
      return readWhole(value, key, 0, 20, request.asked.probabilities);
    if (key == "logprobs")
      return readFlag(value, key, probabilities);
    if (key == "top_logprobs" && chat)
      return readWhole(value, key, 0, 20, top);
    if (key == "user" || key == "prompt_cache_key") { // who asks changes nothing of the answer; a proxy reads the other
      std::string name;
      return readText(value, key, name);
    }
    if (key == "priority")
      return readWhole(value, key, -Scheduler::mostPriority, Scheduler::mostPriority, request.priority);
    if (key == "response_format" && chat)
      return responseFormat(value);
    if (key == "speculate")
      return speculate(value);
    if (key == "prediction" && chat)
      return prediction(value);
    if (key == "tools" && chat)
      return readTools(value, memberText(body, key), request.tools);
    if (key == "tool_choice" && chat) {
      chosen = true;
      return readToolChoice(value, request.tools);
    }
    if (key == "parallel_tool_calls" && chat)
      return readFlag(value, key, request.tools.parallel);
    if (key == "json_schema" && value.is_object())
      return shared(key, key, written({"json_schema"}, value));
    if (isShared(key))
      return shared(key, key, value);
    if (const Lacking *field = lackingField(key))
      return *field->neutral && value == json::parse(field->neutral) ? std::nullopt : lacking(key);
    return unknown(key);
  }

  /// What is known when all fields are read.
  Refused finish() {
    if (chat ? request.messages.empty() : request.prompts.empty()) {
      const char *field = chat ? "messages" : "prompt";
      return Refusal{fail(ErrorCode::RequestField, "%s: expects a value, but there is none", field), field};
    }
    if (chat && top >= 0 && !probabilities)
      return Refusal{fail(ErrorCode::RequestField, "top_logprobs: expects logprobs to be true"), "top_logprobs"};
    if (chat && probabilities)
      request.asked.probabilities = std::max<int64_t>(top, 0);
    if (Refused no = expectToolChoice(request.tools, chosen))
      return no;
    if (request.asked.grammar && !request.tools.tools.empty() && request.tools.choice != ToolRequest::Choice::None)
      return Refusal{fail(ErrorCode::ToolChoice, "tools: expects tool_choice none beside a field that says what the "
                                                 "answer is, for a call would be something else"),
                     "tools"};
    if (request.includeUsage && !request.stream)
      return Refusal{fail(ErrorCode::RequestField, "stream_options: expects stream to be true"), "stream_options"};
    if (!limited)
      request.asked.maxTokens = chat ? INT32_MAX : 16;
    request.asked.logProbabilities = request.asked.probabilities >= 0;
    return std::nullopt;
  }

private:
  const Lacking *lackingField(const std::string &key) const {
    auto in = [&](const auto &table) -> const Lacking * {
      for (const Lacking &field : table)
        if (key == field.name)
          return &field;
      return nullptr;
    };
    const Lacking *field = in(lackingOfAll);
    return field ? field : chat ? in(lackingOfChat) : in(lackingOfCompletions);
  }
  const std::vector<std::string> &names() const {
    static const std::vector<std::string> all[] = {namesOf(false), namesOf(true)};
    return all[chat];
  }
  static std::vector<std::string> namesOf(bool chat) {
    std::vector<std::string> all = {
        "model",    "max_tokens", "stream",          "stream_options", "logprobs",   "user",
        "n",        "seed",       "ignore_eos",      "stop",           "logit_bias", "sampling_order",
        "priority", "speculate",  "prompt_cache_key"};
    all.insert(all.end(), std::begin(constraintFields), std::end(constraintFields));
    for (const char *name : {"messages", "max_completion_tokens", "top_logprobs", "response_format", "tools",
                             "tool_choice", "parallel_tool_calls", "prediction"})
      if (chat)
        all.push_back(name);
    if (!chat)
      all.push_back("prompt");
    for (const SamplingField &field : samplingFields())
      all.push_back(field.name);
    return all;
  }
  bool isKnown(const std::string &key) const {
    const std::vector<std::string> &all = names();
    return lackingField(key) || std::find(all.begin(), all.end(), key) != all.end();
  }
  Refused unknown(const std::string &key) const {
    return Refusal{fail(ErrorCode::RequestField, "request: expects a field of %s, but got \"%s\"%s", pathOf(endpoint),
                        key.substr(0, 60).c_str(), suggestion(key.substr(0, 60), names()).c_str()),
                   key.substr(0, 100)};
  }
  Refused streamOptions(const json &value) {
    if (!value.is_object())
      return bad("stream_options", "an object", value);
    for (const auto &[key, item] : value.items()) {
      const std::string where = "stream_options." + key.substr(0, 60);
      if (key == "include_usage") {
        if (Refused no = readFlag(item, where, request.includeUsage))
          return no;
      } else if (!item.is_null() && item != false) {
        return lacking(where);
      }
    }
    return std::nullopt;
  }
  /// "off", "draft", "ngram" or "ngram:N".
  Refused speculate(const json &value) {
    const std::string most = std::to_string(Guess::longestRun);
    const std::string text = value.is_string() ? value.get<std::string>() : "", many = "ngram:";
    const std::optional<int64_t> number = text.compare(0, many.size(), many) == 0
                                              ? commandline::parseInteger(text.substr(many.size()))
                                              : std::optional<int64_t>(NgramDrafter::usual);
    const bool ngram = text == "ngram" || text.compare(0, many.size(), many) == 0;
    if ((!ngram && text != "off" && text != "draft") || !number || *number < 1 || *number > int64_t(Guess::longestRun))
      return bad("speculate", "off, draft, ngram or ngram:N with N from 1 to " + most, value);
    return guess("speculate", {ngram           ? Guess::Kind::Ngram
                               : text == "off" ? Guess::Kind::None
                                               : Guess::Kind::Draft,
                               static_cast<size_t>(*number)});
  }
  /// {"type": "content", "content": a text, or parts of text}
  Refused prediction(const json &value) {
    if (!value.is_object() || value.size() != 2 || value.value("type", json()) != "content" ||
        !value.contains("content"))
      return bad("prediction", "the type content and a content, and no more", value);
    Guess predicted = {Guess::Kind::Predict};
    if (Refused no = readContent(value["content"], "prediction.content", predicted.text))
      return no;
    return guess("prediction", std::move(predicted));
  }
  Refused guess(const char *field, Guess with) {
    if (request.guess.kind != Guess::Kind::Usual)
      return Refusal{fail(ErrorCode::RequestField, "%s: expects speculate or prediction, but got both", field), field};
    request.guess = std::move(with);
    return std::nullopt;
  }
  /// {"type": "text"}, {"type": "json_object"} or {"type": "json_schema", "json_schema": {"name", "schema"}}.
  Refused responseFormat(const json &value) {
    const std::string where = "response_format", schema = where + ".json_schema";
    if (!value.is_object() || !value.contains("type") || !value["type"].is_string())
      return bad(where, "an object with a type", value);
    const std::string type = value["type"].get<std::string>();
    if (type != "text" && type != "json_object" && type != "json_schema")
      return bad(where + ".type", "text, json_object or json_schema", value["type"]);
    for (const auto &[key, item] : value.items())
      if (key != "type" && (key != "json_schema" || type != "json_schema"))
        return bad(where + "." + key.substr(0, 60), "nothing beside type " + type, item);
    if (type == "text")
      return std::nullopt;
    if (type == "json_object")
      return shared("json_schema", where, json{{"type", "object"}});
    if (!value.contains("json_schema") || !value["json_schema"].is_object())
      return bad(schema, "an object with a schema", value.value("json_schema", json()));
    const json &given = value["json_schema"];
    for (const auto &[key, item] : given.items()) {
      std::string text;
      bool flag = false; // a schema is always held to
      if (key == "name" || key == "description") {
        if (Refused no = readText(item, schema + "." + key, text); no && !item.is_null())
          return no;
      } else if (key == "strict") {
        if (Refused no = readFlag(item, schema + "." + key, flag); no && !item.is_null())
          return no;
      } else if (key != "schema") {
        return bad(schema + "." + key.substr(0, 60), "name, description, strict and schema, and no more", item);
      }
    }
    if (!given.contains("schema") || !given["schema"].is_object())
      return bad(schema + ".schema", "a schema, as an object", given.value("schema", json()));
    return shared("json_schema", schema + ".schema",
                  written({"response_format", "json_schema", "schema"}, given["schema"]));
  }
  /// A member of the request as a text, its members in the order in which they were written: an answer has them so.
  json written(std::initializer_list<const char *> path, const json &value) const {
    std::string_view text = body;
    for (const char *name : path)
      text = memberText(text, name);
    return text.empty() ? value : json(std::string(text)); // else a name is written with escapes
  }
  /// `key` of the requests of generate, which came as `field`.
  Refused shared(const std::string &key, const std::string &field, const json &value) {
    if (key == "stop" && value.is_array() && value.size() > stopTexts)
      return Refusal{
          fail(ErrorCode::RequestField, "stop: expects at most %zu texts, but got %zu", stopTexts, value.size()), key};
    const bool isConstraint = constraintField(key).has_value();
    for (const json &item : value)
      if (item.is_structured() && !isConstraint)
        return bad(field, key == "stop" ? "texts" : "numbers", item);
    if (isConstraint && request.asked.grammar)
      return Refusal{fail(ErrorCode::RequestField, "%s: expects one field that says what the answer is, but got two",
                          field.c_str()),
                     field};
    if (Status good = readRequest(json{{"prompt", ""}, {key, value}}, request.asked, "request"); !good)
      return Refusal{good.error(), field};
    request.seeded |= key == "seed";
    return std::nullopt;
  }

  const std::string_view body;
  const bool chat;
  const Endpoint endpoint;
  ApiRequest &request;
  bool limited = false, probabilities = false, chosen = false;
  int64_t top = -1;
};

/// The object in `body`.
Refused readObject(std::string_view body, json &object) {
  Result<json> read = parseJson<json>(body, "request");
  if (!read)
    return Refusal{read.error(), ""};
  object = std::move(*read);
  if (!object.is_object())
    return bad("request", "an object", object);
  return std::nullopt;
}

} // namespace

const char *pathOf(Endpoint endpoint) {
  return endpoint == Endpoint::Chat ? "/v1/chat/completions" : "/v1/completions";
}

std::optional<Refusal> readApiRequest(std::string_view body, Endpoint endpoint, ApiRequest &request) {
  json object;
  if (Refused no = readObject(body, object))
    return no;
  request.asked.sampling.temperature = 1; // OpenAI's default
  Reader reader(body, endpoint, request);
  for (const auto &[key, value] : object.items())
    if (Refused no = reader.read(key, value))
      return no;
  return reader.finish();
}

std::optional<Refusal> readTokenizeRequest(std::string_view body, TokenizeRequest &request) {
  json object;
  if (Refused no = readObject(body, object))
    return no;
  for (const auto &[key, value] : object.items()) {
    Refused no;
    if (key == "model")
      no = readText(value, key, request.model);
    else if (key == "prompt")
      no = readText(value, key, request.prompt.emplace());
    else if (key == "messages")
      no = readMessages(value, request.messages);
    else if (key == "tools")
      no = value.is_null() ? std::nullopt : readTools(value, memberText(body, key), request.tools);
    else if (key == "add_special")
      no = readFlag(value, key, request.addSpecial);
    else if (key == "parse_special")
      no = readFlag(value, key, request.parseSpecial);
    else
      no = Refusal{fail(ErrorCode::RequestField,
                        "request: expects model, prompt, messages, tools, add_special or "
                        "parse_special, but got \"%s\"",
                        key.substr(0, 60).c_str()),
                   key.substr(0, 100)};
    if (no)
      return no;
  }
  if (request.prompt && !request.tools.tools.empty())
    return Refusal{fail(ErrorCode::RequestField, "tools: expects messages, but got a prompt"), "tools"};
  if (request.prompt.has_value() != request.messages.empty())
    return Refusal{fail(ErrorCode::RequestField, "request: expects either prompt or messages"), "prompt"};
  return std::nullopt;
}

} // namespace stepdown::run
