// One answer in the making: draws tokens from its rows of logits, turns them into text, and knows when it is done.
// Generate.h runs it.
//
// Where it guesses ahead, a step has rows after the guesses too. From each row a token is drawn as it would be without
// guesses, in order, up to the first that is not what was guessed: that one stands, and the guesses behind it are
// forgotten. So the answer has the same bytes with and without, sampled ones too. For a guess x that does not depend on
// the random numbers and is drawn with probability p(x), this is the rejection rule of speculative sampling (Leviathan,
// Kalman, Matias 2023, with a draft that is sure of x): x stays with probability p(x), and else the token comes from p
// without x.
#pragma once
#include "lib/Text/TextStream.h"
#include "runtime/Generate/GenerationOptions.h"
#include "runtime/Grammar/Constraint.h"
#include "runtime/Sampler/Sampler.h"
#include "runtime/Scheduler/RequestClient.h"
#include "runtime/Speculation/Speculation.h"
#include <functional>
#include <memory>
#include <optional>

namespace stepdown {

/// What ended an answer.
enum class Finish {
  None,        ///< it goes on
  End,         ///< the model ended the text
  Stop,        ///< a text of `stops` came
  Length,      ///< as many tokens as were wanted, or as the context has room for
  Listener,    ///< the listener asked for it
  Interrupted, ///< `interrupted` said so
  Error,       ///< problem()
};

class Generation final : public RequestClient {
public:
  /// Where an answer is drawn.
  struct Place {
    int32_t vocabulary;                 ///< columns of a row
    int64_t context;                    ///< positions that prompt and answer may have together with what is before them
    int64_t first = 0;                  ///< the position of the prompt's first token
    const int32_t *before = nullptr;    ///< [first], the tokens before it
    int64_t drawn = 0;                  ///< of these and the prompt, the last so many are of this answer, which goes on
    std::optional<float> surprise = {}; ///< Sampler::surprise() behind them
  };
  /// Hears token `id` and the text that it completes: UTF-8, whole code points, often none. At the end it hears text
  /// that had waited, with id -1. A token that ended the text is not told. False ends the answer.
  using Listener = std::function<bool(int32_t id, const std::string &text)>;

  /// Penalties know `prompt` and what is before it as seen; `tokenizer` must outlive the answer. E07xx; of an answer
  /// that goes on E1316.
  static Result<std::unique_ptr<Generation>> create(const GenerationOptions &options, std::vector<int32_t> prompt,
                                                    const Tokenizer &tokenizer, const Place &place);

  size_t draw(const LogitRows &rows, std::vector<int32_t> &next) override;
  void reused(size_t tokens) override { cached += tokens; }
  const std::string &adapter() const override { return options.adapter; }
  void failed(const Error &error) override;
  /// Ends an answer that is not done.
  void stop(Finish why);
  /// Ends it if `interrupted` says so.
  void heedInterrupt();

  bool done() const { return why != Finish::None; }
  Finish finish() const { return why; }
  const std::vector<int32_t> &prompt() const { return promptTokens; }
  /// The drawn tokens, one that ended the text included.
  const std::vector<int32_t> &tokens() const { return drawn; }
  const std::string &text() const { return answerText; }
  /// Of each token, where they are wanted.
  const std::vector<LogProbabilities> &logProbabilities() const { return probabilities; }
  const std::optional<Error> &problem() const { return error; }
  /// Of the prompt's tokens those that were there already.
  size_t cachedTokens() const { return cached; }
  /// What guessing ahead came to; null where nothing guesses.
  const Speculation *speculation() const { return guessing ? &*guessing : nullptr; }
  const Sampler &drawnWith() const { return sampler; }
  /// Tokens of an answer that goes on, which were drawn before it was broken off.
  int64_t drawnBefore() const { return place.drawn; }
  /// The prompt is computed: its row has come.
  bool prompted() const { return promptedAt > 0; }
  /// From create() until the prompt is computed, and from there to the end. 0 while that is not over.
  double promptSeconds() const { return prompted() ? promptedAt - createdAt : 0; }
  double decodeSeconds() const { return prompted() && done() ? finishedAt - promptedAt : 0; }
  /// Of the steps after the prompt's, which compute all tokens but the last; 0 where there are none.
  double tokensPerSecond() const;

  Listener listener;                        ///< or none
  bool (*interrupted)() = nullptr;          ///< or none; asked before each token and after each step
  std::function<void(const float *)> onRow; ///< or none; sees each row, float32 [vocabulary], that is drawn from

private:
  Generation(const GenerationOptions &options, const Tokenizer &tokenizer, Sampler sampler)
      : options(options), tokenizer(tokenizer), sampler(std::move(sampler)), stream(tokenizer, options.stops) {
    if (options.constraint)
      constrained.emplace(options.constraint, !options.ignoreEnd);
  }
  /// Has sampler, text and constraint know what is before the answer.
  Status readBefore(const std::vector<int32_t> &prompt, const Place &at);
  bool tell(int32_t id, const std::string &text);
  /// What of `whole`, text that comes out, was not told before the answer was broken off.
  std::string untold(const std::string &whole);
  /// Draws the next token, unless that is impossible, and ends the answer where it does.
  void drawFrom(const float *logits);
  /// The guesses that the next step may have: none for tokens that will not be drawn.
  size_t mostGuesses() const;

  GenerationOptions options;
  const Tokenizer &tokenizer;
  Sampler sampler;
  TextStream stream;
  std::optional<ConstrainedText> constrained; ///< where a constraint is to be kept
  std::optional<Speculation> guessing;
  Place place = {};
  std::vector<int32_t> promptTokens, drawn;
  std::vector<LogProbabilities> probabilities;
  size_t cached = 0;
  std::string answerText;
  std::string toldBefore; ///< text of an answer that goes on, which waited when it was broken off, and was told then
  Finish why = Finish::None;
  std::optional<Error> error;
  double createdAt = 0, promptedAt = 0, guessedAt = 0, finishedAt = 0; ///< seconds on a clock that only moves forward
};

} // namespace stepdown
