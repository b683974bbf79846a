#include "tools/stepdown-run/Serve/Api.h"

#include "lib/Base/StrictJson.h"
#include "lib/Base/Suggestion.h"
#include "runtime/Speculation/EditDrafter.h"
#include "runtime/Speculation/NgramDrafter.h"
#include "tools/stepdown-run/Serve/Fresh.h"
#include "tools/stepdown-run/Serve/Page.h"
#include <algorithm>
#include <atomic>
#include <ctime>
#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace stepdown::run {
namespace {

using Json = nlohmann::ordered_json;

constexpr char json[] = "application/json";
constexpr char modelPath[] = "/v1/models/";

constexpr size_t largeBody = size_t(1) << 20; ///< whose JSON takes many times as much

/// Reading a request may take a hundred megabytes for a moment, as a grammar that explodes does. glibc would keep them
/// for the thread that had them; they are the system's again.
void giveBackMemory() {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

/// The host of "localhost:8080" or "[::1]:8080".
std::string hostOf(const std::string &header) {
  if (!header.empty() && header[0] == '[')
    return header.substr(0, header.find(']') + 1);
  return header.substr(0, header.find(':'));
}

bool isLocal(const std::string &host) {
  return host == "localhost" || host == "[::1]" ||
         (host.rfind("127.", 0) == 0 && host.find_first_not_of("0123456789.") == host.npos);
}

/// Whether they are the same; how long it takes tells nothing of where they differ.
bool sameKey(const std::string &given, const std::string &wanted) {
  unsigned different = given.size() != wanted.size();
  for (size_t i = 0; i < given.size(); ++i)
    different |= static_cast<unsigned char>(given[i]) ^ static_cast<unsigned char>(wanted[i % wanted.size()]);
  return different == 0;
}

/// A message as templates read it. Arguments of calls are objects there, spelt as they came: templates keep digits that
/// no number of the machine has.
std::string messageText(const ApiRequest::Message &message) {
  Json object = {{"role", message.role}, {"content", message.content}};
  if (!message.callId.empty()) {
    object["tool_call_id"] = message.callId;
    object["name"] = message.name;
  }
  std::string text = jsonText(object);
  if (message.calls.empty())
    return text;
  text.back() = ',';
  text += "\"tool_calls\":";
  for (size_t i = 0; i < message.calls.size(); ++i) {
    const ToolCall &call = message.calls[i];
    text += std::string(i ? "," : "[") + "{\"id\":" + jsonText(call.id) +
            ",\"type\":\"function\",\"function\":{\"name\":" + jsonText(call.name) +
            ",\"arguments\":" + call.arguments + "}}";
  }
  return text + "]}";
}

/// The ids of a chat with `model`, which may call what `tools` say; E0201 where it has no template, E04xx, E03xx.
Result<std::vector<int32_t>> idsOf(const ServedModel &model, const std::vector<ApiRequest::Message> &said,
                                   const ToolRequest &tools = {}) {
  if (!model.chat)
    return model.chat.error();
  std::string messages = "[";
  for (const ApiRequest::Message &message : said)
    messages += (messages.size() > 1 ? "," : "") + messageText(message);
  messages += "]";
  return chatPrompt(*model.chat, model.tokenizer, {}, {}, messages.c_str(),
                    tools.tools.empty() ? nullptr : tools.json.c_str());
}

/// The field of a request, of those that an engine refuses, that a message begins with; of prompts it is `prompt`.
std::string fieldOf(const Error &error, const char *prompt) {
  const std::string named = error.message.substr(0, error.message.find(": "));
  return named == "prompt" ? prompt : named == "logit_bias" || named == "n" ? named : "";
}

/// The field of tools that a message begins with.
Refusal ofTools(const Error &error) {
  const std::string field = error.message.substr(0, error.message.find(": "));
  const bool named = field == "tool_choice" || field == "parallel_tool_calls" || field.rfind("tools[", 0) == 0;
  return {error, named ? field : "tools"};
}

/// Has an answer that has to call begin so, and says what else it may be. E03xx, E13xx.
std::optional<Refusal> holdToTools(ServedModel &model, ApiRequest &request, std::vector<int32_t> &prompt,
                                   ToolReader &reader) {
  Result<ToolPlan> plan = toolPlan(model.toolFormat(), request.tools);
  if (!plan)
    return ofTools(plan.error());
  if (!plan->gbnf.empty()) {
    auto network = grammar::compileGbnf(plan->gbnf, plan->schemas);
    if (!network)
      return ofTools(network.error());
    request.asked.grammar = std::move(*network);
    reader.trust();
  }
  EncodeOptions how;
  how.addSpecial = false;
  how.parseSpecial = true;
  Result<std::vector<int32_t>> begun = model.tokenizer.encode(plan->prefix, how);
  if (!begun)
    return ofTools(begun.error());
  prompt.insert(prompt.end(), begun->begin(), begun->end());
  (void)reader.push(plan->prefix);
  return std::nullopt;
}

/// The ids of a prompt that is no chat: the caller's own, special tokens and all.
Result<std::vector<int32_t>> idsOf(const ServedModel &model,
                                   const std::variant<std::string, std::vector<int32_t>> &prompt) {
  Request request;
  if (const std::string *text = std::get_if<std::string>(&prompt))
    request.prompt = *text;
  else
    request.tokens = std::get<std::vector<int32_t>>(prompt);
  return promptOf(request, model.tokenizer);
}

} // namespace

std::shared_ptr<Constraint> ServedModel::constraintOf(const std::shared_ptr<const grammar::Network> &grammar) {
  if (!grammar)
    return nullptr;
  std::call_once(spelt, [&] {
    vocabulary =
        std::make_shared<const ConstraintVocabulary>(tokenizer, static_cast<int32_t>(model->head().vocabulary));
  });
  return std::make_shared<Constraint>(grammar, vocabulary);
}

Result<std::shared_ptr<const Speculator>> ServedModel::speculatorOf(const Guess &guess) const {
  using Made = std::shared_ptr<const Speculator>;
  const auto bounded = [this](auto speculator) {
    boundGuesses(*speculator, *model, 1);
    return Made(std::move(speculator));
  };
  switch (guess.kind) {
  case Guess::Kind::None:
    return Made();
  case Guess::Kind::Ngram:
    return bounded(std::make_shared<NgramSpeculator>(guess.longest));
  case Guess::Kind::Draft:
    if (!guesses.draft)
      return fail(ErrorCode::RequestUnsupported,
                  "speculate: expects ngram or off, for the server was started without --speculate=draft:MODEL");
    return guesses.speculator;
  case Guess::Kind::Predict: {
    EncodeOptions plain;
    plain.addSpecial = false;
    Result<std::vector<int32_t>> ids = tokenizer.encode(guess.text, plain);
    if (!ids)
      return ids.error();
    ids->resize(std::min(ids->size(), static_cast<size_t>(engine->context()))); // no answer is longer
    return bounded(std::make_shared<EditSpeculator>(std::move(*ids)));
  }
  default:
    return guesses.speculator;
  }
}

const ToolFormat &ServedModel::toolFormat() {
  std::call_once(probed, [&] {
    if (chat)
      calls = toolFormatOf(*chat, tokenizer);
  });
  return calls;
}

const std::vector<Api::Entry> &Api::table() {
  static const std::vector<Entry> entries = {
      {"/v1/chat/completions", "POST", false, &Api::chatCompletions},
      {"/v1/completions", "POST", false, &Api::completions},
      {"/v1/models", "GET", false, &Api::listModels},
      {modelPath, "GET", false, &Api::oneModel},
      {"/v1/embeddings", "POST", false, &Api::embeddings},
      {"/v1/load_lora_adapter", "POST", false, &Api::loadAdapter},
      {"/v1/unload_lora_adapter", "POST", false, &Api::unloadAdapter},
      {"/tokenize", "POST", false, &Api::tokenize},
      {"/metrics", "GET", false, &Api::metrics},
      {"/health", "GET", true, &Api::health},
      {"/", "GET", true, &Api::page},
  };
  return entries;
}

ServedModel &Api::add(std::string id, std::shared_ptr<const Model> model, Tokenizer tokenizer) {
  return served.emplace_back(std::move(id), std::move(model), std::move(tokenizer));
}

void Api::handle(HttpRequest request, std::shared_ptr<HttpReply> reply) {
  Exchange exchange{std::move(request), std::move(reply), "other"};
  const bool large = exchange.request.body.size() > largeBody;
  try {
    route(exchange);
  } catch (const std::exception &problem) {
    refuse(exchange, {fail(ErrorCode::OutOfMemory, "request: %s", problem.what()), ""});
  }
  if (large || exchange.exploded)
    giveBackMemory();
}

void Api::refuse(int status, const std::string &why, std::shared_ptr<HttpReply> reply) {
  Exchange exchange{{}, std::move(reply), "other"};
  const ErrorCode code = status == 400 ? ErrorCode::RequestHead : ErrorCode::RequestSize;
  const Refusal refusal = {fail(code, "request: expects HTTP/1.1 within the server's limits, but: %s", why.c_str()),
                           ""};
  send(exchange, status, json, jsonText(errorObject(refusal)));
}

void Api::route(Exchange &exchange) {
  const std::string &path = exchange.request.path;
  for (const Entry &entry : table()) {
    const bool prefix = entry.path == modelPath && path.size() > std::size(modelPath) - 1;
    if (prefix ? path.rfind(entry.path, 0) != 0 : path != entry.path)
      continue;
    exchange.counted = entry.path;
    if (std::optional<Refusal> no = expectAllowed(exchange.request, entry)) {
      HttpHeaders headers;
      if (no->error.code == ErrorCode::RequestMethod)
        headers.emplace_back("allow", entry.method);
      if (no->error.code == ErrorCode::RequestKey)
        headers.emplace_back("www-authenticate", "Bearer");
      return refuse(exchange, *no, headers);
    }
    return (this->*entry.route)(exchange);
  }
  std::vector<std::string> paths;
  for (const Entry &entry : table())
    paths.push_back(entry.path);
  refuse(exchange, {fail(ErrorCode::RequestPath, "%s: expects a path of this server%s", path.substr(0, 100).c_str(),
                         suggestion(path.substr(0, 100), paths).c_str()),
                    ""});
}

std::optional<Refusal> Api::expectAllowed(const HttpRequest &request, const Entry &entry) const {
  const std::string host = hostOf(request.host);
  if (options.localOnly && !host.empty() && !isLocal(host))
    return Refusal{fail(ErrorCode::RequestHost, "host: expects 127.0.0.1, [::1] or localhost, but got \"%s\"",
                        host.substr(0, 100).c_str()),
                   ""};
  if (request.method != entry.method)
    return Refusal{fail(ErrorCode::RequestMethod, "%s: expects %s, but got %s", entry.path, entry.method,
                        request.method.substr(0, 20).c_str()),
                   ""};
  if (!options.key.empty() && !entry.open && !sameKey(request.authorization, "Bearer " + options.key))
    return Refusal{fail(ErrorCode::RequestKey, "authorization: expects Bearer and the server's key, but got %s",
                        request.authorization.empty() ? "nothing" : "another"),
                   ""};
  // Of the types that a page of another site can send unasked, JSON is none.
  std::string type = request.contentType.substr(0, request.contentType.find(';'));
  type.erase(std::remove(type.begin(), type.end(), ' '), type.end());
  if (request.method == "POST" && type != json)
    return Refusal{fail(ErrorCode::RequestMedia, "content-type: expects application/json, but got \"%s\"",
                        request.contentType.substr(0, 100).c_str()),
                   ""};
  return std::nullopt;
}

void Api::refuse(Exchange &exchange, const Refusal &refusal, HttpHeaders headers) {
  exchange.exploded |= refusal.error.code == ErrorCode::GrammarTooLarge;
  send(exchange, statusOf(refusal.error.code), json, jsonText(errorObject(refusal)), headers);
}

void Api::send(Exchange &exchange, int status, const std::string &type, std::string body, const HttpHeaders &headers) {
  counts.add(exchange.counted, status);
  exchange.reply->send(status, type, std::move(body), headers);
}

ServedModel *Api::modelOf(Exchange &exchange, const std::string &name, std::string *adapter) {
  if (name.empty() && served.size() == 1)
    return &served.front();
  std::vector<std::string> names;
  for (ServedModel &model : served) {
    if (model.id == name)
      return &model;
    names.push_back(model.id);
    for (const std::string &each : adapter &&model.engine ? model.engine->adapters() : std::vector<std::string>()) {
      names.push_back(model.id + ":" + each);
      if (names.back() != name)
        continue;
      *adapter = each;
      return &model;
    }
  }
  refuse(exchange, {fail(ErrorCode::RequestModel, "model: expects %s, but got \"%s\"", alternatives(names).c_str(),
                         name.substr(0, 100).c_str()),
                    "model"});
  return nullptr;
}

ServedModel *Api::generatorOf(Exchange &exchange, const std::string &name, std::string *adapter) {
  ServedModel *model = modelOf(exchange, name, adapter);
  if (!model || model->engine)
    return model;
  refuse(exchange, {fail(ErrorCode::EncoderText, "%s: expects a model that continues texts, but it is an encoder",
                         model->id.c_str()),
                    "model"});
  return nullptr;
}

static Json modelObject(const ServedModel &model, const std::string &adapter = "") {
  static const int64_t started = std::time(nullptr);
  Json object = {{"id", adapter.empty() ? model.id : model.id + ":" + adapter},
                 {"object", "model"},
                 {"created", started},
                 {"owned_by", "stepdown"},
                 {"context_length", model.context()}};
  if (!adapter.empty())
    object["parent"] = model.id;
  return object;
}

void Api::listModels(Exchange &exchange) {
  Json list = {{"object", "list"}, {"data", Json::array()}};
  for (const ServedModel &model : served) {
    list["data"].push_back(modelObject(model));
    for (const std::string &adapter : model.engine ? model.engine->adapters() : std::vector<std::string>())
      list["data"].push_back(modelObject(model, adapter));
  }
  send(exchange, 200, json, jsonText(list));
}

void Api::oneModel(Exchange &exchange) {
  std::string adapter;
  if (ServedModel *model = modelOf(exchange, exchange.request.path.substr(std::size(modelPath) - 1), &adapter))
    send(exchange, 200, json, jsonText(modelObject(*model, adapter)));
}

void Api::completions(Exchange &exchange) { complete(exchange, Endpoint::Completions); }
void Api::chatCompletions(Exchange &exchange) { complete(exchange, Endpoint::Chat); }

void Api::complete(Exchange &exchange, Endpoint endpoint) {
  const Trace::Time begun = Trace::Clock::now();
  ApiRequest request;
  if (std::optional<Refusal> no = readApiRequest(exchange.request.body, endpoint, request))
    return refuse(exchange, *no);
  std::string adapter;
  ServedModel *model = generatorOf(exchange, request.model, &adapter);
  if (!model)
    return;
  const char *field = endpoint == Endpoint::Chat ? "messages" : "prompt";
  if (Status room = model->engine->expectRoom(endpoint == Endpoint::Chat ? 1 : request.prompts.size(),
                                              static_cast<size_t>(request.asked.answers));
      !room) // before anything is made for each
    return refuse(exchange, {room.error(), request.asked.answers > 1 ? "n" : field});
  Engine::Order order;
  uint64_t count = 0;
  auto add = [&](Result<std::vector<int32_t>> ids) -> std::optional<Error> {
    if (!ids)
      return ids.error();
    count += ids->size();
    order.prompts.push_back(std::move(*ids));
    return std::nullopt;
  };
  std::optional<Error> problem;
  std::optional<ToolReader> calls;
  if (endpoint == Endpoint::Chat) {
    Result<std::vector<int32_t>> ids = idsOf(*model, request.messages, request.tools);
    if (ids && !request.tools.tools.empty() && request.tools.choice != ToolRequest::Choice::None) {
      calls.emplace(model->toolFormat(), request.tools.tools);
      if (std::optional<Refusal> no = holdToTools(*model, request, *ids, *calls))
        return refuse(exchange, *no);
    }
    problem = add(std::move(ids));
  }
  for (size_t i = 0; i < request.prompts.size() && !problem; ++i)
    problem = add(idsOf(*model, request.prompts[i]));
  if (problem)
    return refuse(exchange, {*problem, field});
  if (!request.seeded)
    request.asked.sampling.seed = freshNumber();
  order.answers = static_cast<size_t>(request.asked.answers);
  order.how = request.asked;
  order.how.adapter = adapter;
  order.priority = static_cast<int32_t>(request.priority);
  if (order.priority > options.mostPriority)
    return refuse(exchange,
                  {fail(ErrorCode::RequestField, "priority: expects at most %d, which this server allows, but got %d",
                        options.mostPriority, order.priority),
                   "priority"});
  order.how.constraint = model->constraintOf(request.asked.grammar);
  Result<std::shared_ptr<const Speculator>> speculator = model->speculatorOf(request.guess);
  if (!speculator)
    return refuse(exchange,
                  {speculator.error(), request.guess.kind == Guess::Kind::Predict ? "prediction" : "speculate"});
  order.how.speculator = std::move(*speculator);
  auto told = std::make_shared<std::atomic<bool>>(false);
  auto ended = [this, told, path = exchange.counted](int status) {
    if (!told->exchange(true)) // a client may leave while its answer is on the way
      counts.add(path, status);
  };
  order.listener = std::make_shared<ApiAnswer>(
      endpoint, request, adapter.empty() ? model->id : model->id + ":" + adapter, order.prompts.size(), count,
      *model->engine, model->tokenizer, exchange.reply, model->times, ended, calls ? &*calls : nullptr);
  order.traced = exchange.request.traced;
  if (options.trace && order.traced)
    options.trace->span(order.traced, 0, "prepare", begun, Trace::Clock::now(),
                        "\"prompt_tokens\": " + std::to_string(count));
  Result<uint64_t> number = model->engine->submit(std::move(order));
  if (number)
    return;
  HttpHeaders headers;
  if (number.error().code == ErrorCode::ServerBusy)
    headers.emplace_back("retry-after", std::to_string(model->engine->secondsToWait()));
  refuse(exchange, {number.error(), fieldOf(number.error(), field)}, headers);
}

void Api::tokenize(Exchange &exchange) {
  TokenizeRequest request;
  if (std::optional<Refusal> no = readTokenizeRequest(exchange.request.body, request))
    return refuse(exchange, *no);
  ServedModel *model = modelOf(exchange, request.model);
  if (!model)
    return;
  EncodeOptions how;
  how.addSpecial = request.addSpecial;
  how.parseSpecial = request.parseSpecial;
  Result<std::vector<int32_t>> ids =
      request.prompt ? model->tokenizer.encode(*request.prompt, how) : idsOf(*model, request.messages, request.tools);
  if (!ids)
    return refuse(exchange, {ids.error(), request.prompt ? "prompt" : "messages"});
  send(exchange, 200, json, jsonText({{"tokens", *ids}, {"count", ids->size()}, {"max_model_len", model->context()}}));
}

// The page asks this server and nobody else, and runs no script but its own.
void Api::page(Exchange &exchange) {
  send(exchange, 200, "text/html; charset=utf-8", pageText,
       {{"content-security-policy", "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
                                    "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"},
        {"x-content-type-options", "nosniff"},
        {"cache-control", "no-cache"}});
}

void Api::health(Exchange &exchange) { send(exchange, 200, json, "{\"status\":\"ok\"}"); }

void Api::metrics(Exchange &exchange) {
  send(exchange, 200, "text/plain; version=0.0.4; charset=utf-8", metricsText());
}

} // namespace stepdown::run
