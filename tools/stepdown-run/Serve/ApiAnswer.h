// The answer to one request of OpenAI's interface in the making: hears an engine and writes JSON, whole or in pieces
// (server-sent events, WHATWG HTML 9.2).
#pragma once
#include "runtime/Server/Engine.h"
#include "tools/stepdown-run/Serve/ApiRequest.h"
#include "tools/stepdown-run/Serve/Http.h"
#include "tools/stepdown-run/Serve/Metrics.h"
#include "tools/stepdown-run/Serve/ToolReader.h"
#include <atomic>
#include <deque>
#include <nlohmann/json.hpp>

namespace stepdown::run {

/// The HTTP status of a refusal.
int statusOf(ErrorCode code);
/// {"error": {"message", "type", "param", "code"}}; the code is the number, "E0611".
nlohmann::ordered_json errorObject(const Refusal &refusal);
std::string jsonText(const nlohmann::ordered_json &object);

/// What answers add to, of one model.
struct AnswerTimes {
  Histogram firstToken;                    ///< from the request to the first token of an answer
  Histogram nextToken;                     ///< between tokens, the mean of each answer
  std::atomic<uint64_t> guessingFailed{0}; ///< answers that went on without guesses after an error
};

class ApiAnswer : public Engine::Listener {
public:
  /// `request` to the model called `model`, with `prompts` prompts of `promptTokens` tokens in all. What is handed in
  /// must outlive the answer, but for `reply`. `ended` gets the status with which it ends. `calls`, or null, is copied
  /// for each choice: what finds calls of functions in it.
  ApiAnswer(Endpoint endpoint, const ApiRequest &request, std::string model, size_t prompts, uint64_t promptTokens,
            Engine &engine, const Tokenizer &tokenizer, std::shared_ptr<HttpReply> reply, AnswerTimes &times,
            std::function<void(int)> ended, const ToolReader *calls = nullptr);

  /// The engine takes it: a stream begins, and a client that leaves cancels it.
  void taken(uint64_t number) override;
  void token(size_t answer, int32_t id, const std::string &text, const LogProbabilities *row) override;
  void finished(size_t answer, const Generation &generation) override;

private:
  using Json = nlohmann::ordered_json;
  using Clock = std::chrono::steady_clock;
  struct Choice {
    std::string text; ///< of an answer that is sent whole
    Json probabilities;
    std::string finish;
    size_t tokens = 0, told = 0; ///< tokens, and code points of text
    Clock::time_point first;
    std::optional<ToolReader> reader; ///< of calls, where there may be any
    Json calls;                       ///< of an answer that is sent whole
    // Of a choice with a reader: what decodes its tokens, bytes that it gave, and those that came out of stop texts.
    std::optional<StreamDecoder> decoder;
    size_t decoded = 0, came = 0;
    std::deque<std::pair<size_t, std::string>> marks; ///< behind so many bytes, which have not come yet
  };
  Json head(bool piece) const;
  void addProbabilities(Json &list, int32_t id, const LogProbabilities &row, size_t offset) const;
  void tell(size_t answer, Json delta, Json probabilities, Json finish);
  /// The text that a token of a choice with a reader lets out; its calls wait in the reader.
  std::string readCalls(Choice &choice, int32_t token, std::string_view text);
  void tellCalls(size_t answer);
  void endStream();
  void sendWhole();
  void fail(const Error &error);
  Json usage() const;

  const Endpoint endpoint;
  const bool stream, includeUsage;
  const int64_t topProbabilities; ///< -1: none are wanted
  const uint64_t seed, promptTokens;
  const std::string model, id;
  const int64_t created;
  Engine &engine;
  const Tokenizer &tokenizer;
  const std::shared_ptr<HttpReply> reply;
  AnswerTimes &times;
  const std::function<void(int)> ended;
  const Clock::time_point asked = Clock::now();
  std::vector<Choice> choices;
  const size_t each; ///< answers to a prompt
  size_t left;
  uint64_t drawn = 0, cachedTokens = 0;
  SpeculationFigures guesses; ///< of all choices
  bool guessed = false;       ///< ahead
  uint64_t number = 0;        ///< of the order
  bool failed = false;
};

} // namespace stepdown::run
