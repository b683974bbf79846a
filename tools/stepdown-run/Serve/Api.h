// OpenAI's interface, and what else the server answers: from a request of HTTP to an order of an engine, or to a
// refusal. Nothing of sockets.
#pragma once
#include "lib/Text/ChatPrompt.h"
#include "runtime/Embedding/EmbeddingService.h"
#include "tools/stepdown-run/Serve/ApiAnswer.h"
#include "tools/stepdown-run/SpeculateOption.h"
#include <deque>
#include <mutex>

namespace stepdown::run {

/// A model and what runs it.
struct ServedModel {
  ServedModel(std::string id, std::shared_ptr<const Model> model, Tokenizer tokenizer)
      : id(std::move(id)), model(std::move(model)), tokenizer(std::move(tokenizer)),
        chat(chatTemplateOf(this->model->metadata())) {}
  const std::string id; ///< by which requests name it
  const std::shared_ptr<const Model> model;
  const Tokenizer tokenizer;
  const Result<ChatTemplate> chat;
  AnswerTimes times;
  Guesses guesses;                             ///< what the server was started with, none or something
  std::unique_ptr<Engine> engine;              ///< ends before the rest; of an encoder none, but
  std::unique_ptr<EmbeddingService> embedding; ///< this, which ends before the rest, too
  /// Tokens that a text may have.
  int64_t context() const { return engine ? engine->context() : static_cast<int64_t>(embedding->longest()); }

  /// What an answer of `grammar` may be drawn from; null for null. Any thread.
  std::shared_ptr<Constraint> constraintOf(const std::shared_ptr<const grammar::Network> &grammar);
  /// What guesses for a request, or null. E1208 for a draft model where there is none; E03xx.
  Result<std::shared_ptr<const Speculator>> speculatorOf(const Guess &guess) const;
  /// How it calls functions. Any thread.
  const ToolFormat &toolFormat();

private:
  std::once_flag spelt, probed;
  ToolFormat calls;
  std::shared_ptr<const ConstraintVocabulary> vocabulary; ///< made when it is first needed
};

class Api : public HttpHandler {
public:
  struct Options {
    std::string key;             ///< empty: none is asked for
    int32_t mostPriority = 0;    ///< that a request may ask for
    Trace *trace = nullptr;      ///< what the server does when goes there
    bool changeAdapters = false; ///< whether requests may load and unload adapters, by paths on this machine
    bool localOnly = true;       ///< refuse requests for a host that is not this machine: pages of browsers send such
  };
  // All of this before the first request.
  Options options;
  ServedModel &add(std::string id, std::shared_ptr<const Model> model, Tokenizer tokenizer);
  std::deque<ServedModel> &models() { return served; }
  /// How many connections are open, for /metrics.
  std::function<size_t()> connections;

  void handle(HttpRequest request, std::shared_ptr<HttpReply> reply) override;
  void refuse(int status, const std::string &why, std::shared_ptr<HttpReply> reply) override;

private:
  struct Exchange { ///< a request and its reply
    HttpRequest request;
    std::shared_ptr<HttpReply> reply;
    const char *counted;   ///< the path, for /metrics
    bool exploded = false; ///< a grammar of it needed more states than there may be
  };
  using Route = void (Api::*)(Exchange &);
  struct Entry {
    const char *path, *method;
    bool open; ///< without a key
    Route route;
  };
  static const std::vector<Entry> &table();

  std::optional<Refusal> expectAllowed(const HttpRequest &request, const Entry &entry) const;
  void route(Exchange &exchange);
  void refuse(Exchange &exchange, const Refusal &refusal, HttpHeaders headers = {});
  void send(Exchange &exchange, int status, const std::string &type, std::string body, const HttpHeaders &headers = {});
  /// The model called `name`, or, where `adapter` is asked for, NAME:ADAPTER; refuses another.
  ServedModel *modelOf(Exchange &exchange, const std::string &name, std::string *adapter = nullptr);
  /// The same of a model that continues texts: an encoder is refused, too.
  ServedModel *generatorOf(Exchange &exchange, const std::string &name, std::string *adapter = nullptr);

  void listModels(Exchange &exchange);
  void oneModel(Exchange &exchange);
  void completions(Exchange &exchange);
  void chatCompletions(Exchange &exchange);
  void complete(Exchange &exchange, Endpoint endpoint);
  void embeddings(Exchange &exchange);
  void loadAdapter(Exchange &exchange);
  void unloadAdapter(Exchange &exchange);
  void changeAdapters(Exchange &exchange, bool load);
  void tokenize(Exchange &exchange);
  void page(Exchange &exchange);
  void health(Exchange &exchange);
  void metrics(Exchange &exchange);
  std::string metricsText() const;

  std::deque<ServedModel> served; ///< which never move
  RequestCounts counts;
};

} // namespace stepdown::run
