// One answer in the making: draws tokens from its rows of logits, turns them into text, and knows when it is done.
#pragma once
#include "runtime/Scheduler/Scheduler.h"
#include "runtime/TextStream.h"
#include "tools/stepdown-run/Request.h"
#include "tools/stepdown-run/Sha256.h"
#include <functional>
#include <memory>

namespace stepdown::run {

class Generation final : public RequestClient {
public:
  /// Text as it becomes certain.
  using Listener = std::function<void(const std::string &text)>;

  /// `answer`: which of the request's answers; part of what its random numbers depend on. E07xx.
  static Result<std::unique_ptr<Generation>> create(const Request &request, std::vector<int32_t> prompt,
                                                    const Tokenizer &tokenizer, int32_t vocabulary, int32_t maxContext,
                                                    uint64_t answer);
  int32_t draw(const float *logits) override;
  void failed(const Error &error) override;
  /// Ends an answer that is not done, as when the user interrupts.
  void stop(const char *reason);

  bool done() const { return !reason.empty(); }
  const std::vector<int32_t> &prompt() const { return promptTokens; }
  const std::vector<int32_t> &tokens() const { return drawn; }
  const std::string &text() const { return answerText; }
  const std::optional<Error> &problem() const { return error; }
  /// "stop" (end of text or stop string), "length", "interrupted", or "error".
  const std::string &finishReason() const { return reason; }
  const Request &of() const { return request; }
  /// Of the rows of logits so far; call once, at the end.
  std::string logitsHash() { return hash.finish(); }
  const std::vector<LogProbabilities> &logProbabilities() const { return probabilities; }

  Listener listener; ///< may be empty
  bool hashLogits = false;
  double submittedAt = 0; ///< milliseconds
  double firstTokenAt = 0, finishedAt = 0;

private:
  Generation(const Request &request, const Tokenizer &tokenizer, Sampler sampler)
      : request(request), tokenizer(tokenizer), sampler(std::move(sampler)), stream(tokenizer, request.stops) {}
  void show(const std::string &text);

  Request request;
  const Tokenizer &tokenizer;
  Sampler sampler;
  TextStream stream;
  std::vector<int32_t> promptTokens, drawn;
  std::vector<LogProbabilities> probabilities;
  std::string answerText, reason;
  std::optional<Error> error;
  Sha256 hash;
  uint64_t answer = 0;
  int32_t vocabulary = 0, maxContext = 0;
};

} // namespace stepdown::run
