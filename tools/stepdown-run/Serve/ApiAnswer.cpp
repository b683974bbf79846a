#include "tools/stepdown-run/Serve/ApiAnswer.h"

#include "tools/stepdown-run/Serve/Fresh.h"
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ctime>

namespace stepdown::run {
namespace {

using Json = nlohmann::ordered_json;

double seconds(std::chrono::steady_clock::duration time) { return std::chrono::duration<double>(time).count(); }

/// One for each answer of any server: no two have the same.
std::string freshId(Endpoint endpoint) {
  static const uint64_t mine = freshNumber();
  static std::atomic<uint64_t> count{0};
  char text[64];
  std::snprintf(text, sizeof text, "%s-%016llx%08llx", endpoint == Endpoint::Chat ? "chatcmpl" : "cmpl",
                (unsigned long long)mine, (unsigned long long)++count);
  return text;
}

const char *typeOf(int status) {
  return status == 401   ? "authentication_error"
         : status == 429 ? "rate_limit_error"
         : status >= 500 ? "server_error"
                         : "invalid_request_error";
}

/// The bytes of a token, which need not be text.
Json bytesOf(const std::string &piece) {
  Json bytes = Json::array();
  for (unsigned char byte : piece)
    bytes.push_back(byte);
  return bytes;
}

/// A log-probability as JSON can have it: there is no infinity.
double finite(float value) { return std::isfinite(value) ? double(value) : -9999.0; }

} // namespace

int statusOf(ErrorCode code) {
  switch (code) {
  case ErrorCode::RequestPath:
  case ErrorCode::RequestModel:
    return 404;
  case ErrorCode::RequestMethod:
    return 405;
  case ErrorCode::RequestKey:
    return 401;
  case ErrorCode::RequestHost:
    return 403;
  case ErrorCode::RequestSize:
    return 413;
  case ErrorCode::RequestMedia:
    return 415;
  case ErrorCode::ServerBusy:
    return 429;
  case ErrorCode::ServerStopping:
  case ErrorCode::CacheFull:
    return 503;
  case ErrorCode::RequestTime:
    return 504;
  case ErrorCode::SamplingLogits:
  case ErrorCode::SamplingMemory:
    return 500;
  default:
    break;
  }
  // Of text, templates, requests, sampling and files that it names (adapters alone: GGUF, its keys, folders) it is the
  // request's fault; of what runs it, ours.
  const int group = static_cast<int>(code) / 100;
  const bool theirs = group == 1 || group == 2 || group == 14 || code == ErrorCode::FileOpen || group == 3 ||
                      group == 4 || group == 7 || group == 12 || group == 13 || code == ErrorCode::RequestField ||
                      code == ErrorCode::JsonSyntax || code == ErrorCode::ContextFull ||
                      code == ErrorCode::StepTokenRange || code == ErrorCode::SequenceLimit;
  return theirs ? 400 : 500;
}

std::string jsonText(const Json &object) { return object.dump(-1, ' ', false, Json::error_handler_t::replace); }

Json errorObject(const Refusal &refusal) {
  return {{"error",
           {{"message", refusal.error.message},
            {"type", typeOf(statusOf(refusal.error.code))},
            {"param", refusal.field.empty() ? Json() : Json(refusal.field)},
            {"code", codeText(refusal.error.code)}}}};
}

ApiAnswer::ApiAnswer(Endpoint endpoint, const ApiRequest &request, std::string model, size_t prompts,
                     uint64_t promptTokens, Engine &engine, const Tokenizer &tokenizer,
                     std::shared_ptr<HttpReply> reply, AnswerTimes &times, std::function<void(int)> ended,
                     const ToolReader *calls)
    : endpoint(endpoint), stream(request.stream), includeUsage(request.includeUsage),
      topProbabilities(request.asked.probabilities), seed(request.asked.sampling.seed), promptTokens(promptTokens),
      model(std::move(model)), id(freshId(endpoint)), created(std::time(nullptr)), engine(engine), tokenizer(tokenizer),
      reply(std::move(reply)), times(times), ended(std::move(ended)),
      choices(prompts * static_cast<size_t>(request.asked.answers)), each(choices.size() / prompts),
      left(choices.size()) {
  for (Choice &choice : choices) {
    choice.probabilities = Json::array();
    choice.calls = Json::array();
    if (calls) {
      choice.reader = *calls;
      choice.decoder.emplace(tokenizer);
    }
  }
}

void ApiAnswer::taken(uint64_t order) {
  number = order;
  if (stream)
    reply->begin(200, "text/event-stream", {{"cache-control", "no-store"}, {"x-stepdown-seed", std::to_string(seed)}});
  reply->onGone([engine = &engine, order, ended = ended] {
    engine->cancel(order);
    ended(499); // as others number a client that left
  });
}

Json ApiAnswer::head(bool piece) const {
  const bool chat = endpoint == Endpoint::Chat;
  return {{"id", id},
          {"object", !chat   ? "text_completion"
                     : piece ? "chat.completion.chunk"
                             : "chat.completion"},
          {"created", created},
          {"model", model},
          {"system_fingerprint", "stepdown-" STEPDOWN_VERSION},
          {"choices", Json::array()}};
}

// Of a chat {token, logprob, bytes, top_logprobs}; completions keep the same in columns.
void ApiAnswer::addProbabilities(Json &list, int32_t token, const LogProbabilities &row, size_t offset) const {
  const auto most = std::min<int64_t>(row.count, topProbabilities);
  if (endpoint == Endpoint::Chat) {
    auto entry = [&](int32_t each, float value) {
      const std::string piece = tokenizer.piece(each);
      return Json{{"token", piece}, {"logprob", finite(value)}, {"bytes", bytesOf(piece)}};
    };
    Json one = entry(token, row.chosen), top = Json::array();
    for (int64_t i = 0; i < most; ++i)
      top.push_back(entry(row.top[i].id, row.top[i].value));
    one["top_logprobs"] = std::move(top);
    list.push_back(std::move(one));
    return;
  }
  Json top = Json::object();
  for (int64_t i = 0; i < most; ++i)
    top[tokenizer.piece(row.top[i].id)] = finite(row.top[i].value);
  list.push_back({tokenizer.piece(token), finite(row.chosen), std::move(top), offset});
}

/// Rows of addProbabilities as the interface has them.
static Json probabilitiesObject(Endpoint endpoint, const Json &list) {
  if (endpoint == Endpoint::Chat)
    return {{"content", list}, {"refusal", nullptr}};
  Json object;
  const char *names[] = {"tokens", "token_logprobs", "top_logprobs", "text_offset"};
  for (size_t column = 0; column < 4; ++column) {
    Json &values = object[names[column]] = Json::array();
    for (const Json &row : list)
      values.push_back(row[column]);
  }
  return object;
}

void ApiAnswer::token(size_t answer, int32_t token, const std::string &whole, const LogProbabilities *row) {
  if (failed)
    return;
  Choice &choice = choices[answer];
  std::string text = whole;
  if (choice.reader)
    text = readCalls(choice, token, whole);
  const bool first = choice.tokens == 0 && choice.told == 0;
  if (token >= 0 && choice.tokens++ == 0) {
    choice.first = Clock::now();
    times.firstToken.add(seconds(choice.first - asked));
  }
  Json list = Json::array();
  if (row && topProbabilities >= 0)
    addProbabilities(stream ? list : choice.probabilities, token, *row, choice.told);
  choice.told += size_t(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
  if (!stream)
    choice.text += text;
  else if (!text.empty() || !list.empty() || first) {
    Json delta = Json::object();
    if (first)
      delta["role"] = "assistant";
    delta["content"] = text;
    tell(answer, std::move(delta), list.empty() ? Json() : probabilitiesObject(endpoint, list), nullptr);
  }
  if (choice.reader)
    tellCalls(answer);
}

// Control tokens are no text, but for those around calls, and text before such may still wait for the rest of a stop
// text. So a mark waits too, for as much text as was decoded before it.
std::string ApiAnswer::readCalls(Choice &choice, int32_t token, std::string_view text) {
  if (token >= 0) {
    const std::string decoded = choice.decoder->push(token);
    if (tokenizer.isSpecial(token) && choice.reader->format().isMark(tokenizer.piece(token)))
      choice.marks.emplace_back(choice.decoded, tokenizer.piece(token));
    choice.decoded += decoded.size();
  }
  std::string out;
  for (; !choice.marks.empty() && choice.marks.front().first <= choice.came + text.size(); choice.marks.pop_front()) {
    const size_t before = choice.marks.front().first - choice.came;
    out += choice.reader->push(text.substr(0, before));
    out += choice.reader->push(choice.marks.front().second);
    text.remove_prefix(before);
    choice.came += before;
  }
  choice.came += text.size();
  return out + choice.reader->push(text);
}

// A call is told when it is whole, in two pieces, as clients expect them: what it is, and its arguments.
void ApiAnswer::tellCalls(size_t answer) {
  Choice &choice = choices[answer];
  std::vector<ToolCall> calls = choice.reader->take();
  size_t index = choice.reader->count() - calls.size();
  for (ToolCall &call : calls) {
    Json object = {{"id", std::move(call.id)},
                   {"type", "function"},
                   {"function", {{"name", std::move(call.name)}, {"arguments", stream ? "" : call.arguments}}}};
    if (!stream) {
      choice.calls.push_back(std::move(object));
      continue;
    }
    Json first = {{"index", index}};
    first.update(object);
    tell(answer, {{"tool_calls", Json::array({std::move(first)})}}, nullptr, nullptr);
    Json rest = {{"index", index++}, {"function", {{"arguments", std::move(call.arguments)}}}};
    tell(answer, {{"tool_calls", Json::array({std::move(rest)})}}, nullptr, nullptr);
  }
}

void ApiAnswer::tell(size_t answer, Json delta, Json probabilities, Json finish) {
  Json object = head(true), choice = {{"index", answer}};
  if (endpoint == Endpoint::Chat)
    choice["delta"] = std::move(delta);
  else
    choice["text"] = delta.contains("content") ? std::move(delta["content"]) : Json("");
  choice["logprobs"] = std::move(probabilities);
  choice["finish_reason"] = std::move(finish);
  object["choices"].push_back(std::move(choice));
  if (includeUsage)
    object["usage"] = nullptr;
  reply->write("data: " + jsonText(object) + "\n\n");
}

void ApiAnswer::finished(size_t answer, const Generation &generation) {
  if (failed)
    return;
  if (generation.problem())
    return fail(*generation.problem());
  Choice &choice = choices[answer];
  drawn += generation.tokens().size();
  if (answer % each == 0) // a prompt is computed once for all of its answers
    cachedTokens += generation.cachedTokens();
  if (const Speculation *speculation = generation.speculation()) {
    guessed = true;
    guesses.guessed += speculation->figures().guessed;
    guesses.accepted += speculation->figures().accepted;
    times.guessingFailed += speculation->problem().has_value();
  }
  if (choice.tokens > 1)
    times.nextToken.add(seconds(Clock::now() - choice.first) / static_cast<double>(choice.tokens - 1));
  choice.finish = generation.finish() == Finish::Length ? "length" : "stop";
  if (choice.reader) {
    const std::string rest = choice.reader->finish();
    choice.text += rest;
    if (stream && !rest.empty())
      tell(answer, {{"content", rest}}, nullptr, nullptr);
    tellCalls(answer);
    if (choice.reader->count() && generation.finish() != Finish::Length)
      choice.finish = "tool_calls";
  }
  if (stream)
    tell(answer, Json::object(), nullptr, choice.finish);
  if (--left)
    return;
  if (stream)
    endStream();
  else
    sendWhole();
}

Json ApiAnswer::usage() const {
  Json usage = {{"prompt_tokens", promptTokens},
                {"completion_tokens", drawn},
                {"total_tokens", promptTokens + drawn},
                {"prompt_tokens_details", {{"cached_tokens", cachedTokens}}}};
  if (guessed)
    usage["completion_tokens_details"] = {{"accepted_prediction_tokens", guesses.accepted},
                                          {"rejected_prediction_tokens", guesses.guessed - guesses.accepted}};
  return usage;
}

void ApiAnswer::endStream() {
  if (includeUsage) {
    Json object = head(true);
    object["usage"] = usage();
    reply->write("data: " + jsonText(object) + "\n\n");
  }
  ended(200);
  reply->write("data: [DONE]\n\n");
  reply->end();
}

void ApiAnswer::sendWhole() {
  Json object = head(false);
  for (size_t i = 0; i < choices.size(); ++i) {
    Choice &done = choices[i];
    Json choice = {{"index", i}};
    if (endpoint == Endpoint::Chat) {
      Json &message = choice["message"] = {{"role", "assistant"}, {"content", nullptr}, {"refusal", nullptr}};
      if (done.calls.empty() || !done.text.empty())
        message["content"] = std::move(done.text);
      if (!done.calls.empty())
        message["tool_calls"] = std::move(done.calls);
    } else
      choice["text"] = std::move(done.text);
    choice["logprobs"] = topProbabilities >= 0 ? probabilitiesObject(endpoint, done.probabilities) : Json();
    choice["finish_reason"] = done.finish;
    object["choices"].push_back(std::move(choice));
  }
  object["usage"] = usage();
  ended(200);
  reply->send(200, "application/json", jsonText(object), {{"x-stepdown-seed", std::to_string(seed)}});
}

// One answer that cannot go on ends all: the client asked for them together.
void ApiAnswer::fail(const Error &error) {
  failed = true;
  engine.cancel(number);
  const int status = statusOf(error.code);
  ended(status);
  const std::string text = jsonText(errorObject({error, ""}));
  if (!stream)
    return reply->send(status, "application/json", text);
  reply->write("data: " + text + "\n\n");
  reply->end();
}

} // namespace stepdown::run
