// A conversation with a model: messages, the prompt that the model's template makes of them, and a sequence in whose
// cache the turns before stay, so that a turn computes only what is new. When the conversation outgrows the context,
// the model is told the system prompt and the later turns only, as many as leave half of the context free: then the
// prompt is computed anew once in many turns, not in each.
//
// Text that a person typed can never become a control token (lib/Text/ChatPrompt.h).
#pragma once
#include "lib/Text/ChatTemplate/ChatTemplate.h"
#include "runtime/Generate/Generate.h"
#include <string>
#include <vector>

namespace stepdown::run {

class Conversation {
public:
  struct Message {
    std::string role, content;
  };

  /// `adapter`: the slot in the session of the one that it has; 0 for none.
  Conversation(Session &session, const Tokenizer &tokenizer, const ChatTemplate &chatTemplate, int32_t adapter = 0);
  ~Conversation();
  Conversation(const Conversation &) = delete;

  /// Adds what the user says, draws the answer as `options` say, and calls `listener` with its text as it
  /// comes. On an error the conversation is as before the turn; an interrupt ends the answer early and is no error.
  Status say(const std::string &text, const GenerationOptions &options, Generation::Listener listener) {
    return say(text, options, std::move(listener), 0);
  }
  /// Draws the answer to what was said last once more, with random numbers of its own. On an error the answer before is
  /// there again. E0611 where there is no answer yet.
  Status regenerate(const GenerationOptions &options, Generation::Listener listener);
  void reset();
  const std::vector<Message> &messages() const { return turns; }
  void setMessages(std::vector<Message> messages) {
    turns = std::move(messages);
    left = 0;
  }
  /// Messages that the model is no longer told.
  size_t leftOut() const { return left; }
  /// Tokens that prompt and answer may have together.
  size_t context() const;

  /// The ids of the prompt for the messages so far, without what is left out; E04xx, E03xx.
  Result<std::vector<int32_t>> prompt() const;

  struct Figures {
    size_t promptTokens = 0, reused = 0, drawn = 0;
    double promptSeconds = 0;   ///< with the template's
    double tokensPerSecond = 0; ///< of the answer
    bool full = false;          ///< the answer ends where the context does
    SpeculationFigures guesses;
    std::optional<Error> guessingEnded; ///< why there were no more
  };
  const Figures &lastTurn() const { return figures; }

private:
  Status say(const std::string &text, const GenerationOptions &options, Generation::Listener listener, uint64_t answer);
  Status cutBack(int32_t length);
  Status draw(const std::vector<int32_t> &tokens, Generation &answer);
  Result<std::vector<int32_t>> fittingPrompt();
  size_t systemMessages() const;

  Session &session;
  const Tokenizer &tokenizer;
  const ChatTemplate &chatTemplate;
  std::vector<Message> turns;
  size_t left = 0; ///< messages after the system's that prompts leave out
  const int32_t adapter;
  int32_t sequence = -1;
  uint64_t again = 0; ///< answers that were drawn to what was said last, after the first
  Figures figures;
};

} // namespace stepdown::run
