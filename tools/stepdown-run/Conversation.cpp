#include "tools/stepdown-run/Conversation.h"

#include "lib/Text/ChatPrompt.h"
#include "tools/stepdown-run/Console.h"
#include <algorithm>

namespace stepdown::run {

Conversation::Conversation(Session &session, const Tokenizer &tokenizer, const ChatTemplate &chatTemplate,
                           int32_t adapter)
    : session(session), tokenizer(tokenizer), chatTemplate(chatTemplate), adapter(adapter) {}

Conversation::~Conversation() { reset(); }

void Conversation::reset() {
  turns.clear();
  left = 0;
  if (sequence >= 0)
    session.freeSequence(sequence);
  sequence = -1;
}

Result<std::vector<int32_t>> Conversation::prompt() const {
  std::vector<ChatMessage> said;
  const size_t kept = systemMessages();
  for (size_t i = 0; i < turns.size(); ++i)
    if (i < kept || i >= kept + left)
      said.push_back({turns[i].role, turns[i].content});
  return chatPrompt(chatTemplate, tokenizer, said);
}

// What the cache holds at once, even where windows let a sequence be longer: --context says how much is remembered.
size_t Conversation::context() const { return std::min<size_t>(session.context(), session.kv().capacity()); }

size_t Conversation::systemMessages() const {
  size_t count = 0;
  while (count < turns.size() && turns[count].role == "system")
    ++count;
  return count;
}

// The prompt, after leaving out as many of the oldest turns as it takes to leave room for an answer: nothing while a
// quarter of the context is free, else until half of it is. What the user said last always stays.
Result<std::vector<int32_t>> Conversation::fittingPrompt() {
  auto tokens = prompt();
  for (size_t most = context() - context() / 4; tokens && tokens->size() > most; tokens = prompt()) {
    most = context() / 2;
    size_t next = systemMessages() + left + 1;
    while (next < turns.size() && turns[next].role != "user")
      ++next;
    if (next >= turns.size())
      break;
    left = next - systemMessages();
  }
  if (tokens && tokens->size() >= context())
    return fail(
        ErrorCode::ContextFull,
        "chat: expects a message that leaves room in a context of %zu tokens, but with it alone the prompt has %zu",
        context(), tokens->size());
  return tokens;
}

// Forgets what the sequence holds from `length` on.
Status Conversation::cutBack(int32_t length) {
  Status cut = session.truncate(sequence, length);
  // A window that was given back cannot be had again: then everything is computed anew.
  return cut ? cut : session.truncate(sequence, 0);
}

// Draws `answer` to `tokens`, computing only those that the sequence does not hold. The last is among them, for its
// logits are wanted.
Status Conversation::draw(const std::vector<int32_t> &tokens, Generation &answer) {
  if (sequence < 0) {
    Result<int32_t> created = session.createSequence(adapter);
    if (!created)
      return created.error();
    sequence = *created;
  }
  const int32_t *held = session.tokens(sequence);
  const auto shared = std::mismatch(held, held + session.length(sequence), tokens.begin(), tokens.end()).first - held;
  if (Status kept = cutBack(static_cast<int32_t>(std::min<size_t>(shared, std::max<size_t>(tokens.size(), 1) - 1)));
      !kept)
    return kept;
  const int32_t reused = session.length(sequence);
  figures.reused = static_cast<size_t>(reused);
  Status drawn = continueSequence(session, sequence, {tokens.begin() + reused, tokens.end()}, answer);
  if (!drawn)
    (void)static_cast<bool>(cutBack(reused)); // what came in since may be wrong
  return drawn;
}

Status Conversation::regenerate(const GenerationOptions &options, Generation::Listener listener) {
  if (turns.size() < 2 || turns.back().role != "assistant" || turns[turns.size() - 2].role != "user")
    return fail(ErrorCode::RequestField, "chat: expects an answer to draw again, but there is none");
  const uint64_t drawn = again, answer = drawn + 1;
  Message before = std::move(turns.back()), said = std::move(turns[turns.size() - 2]);
  turns.resize(turns.size() - 2);
  Status done = say(said.content, options, std::move(listener), answer);
  if (!done) {
    turns.push_back(std::move(said));
    turns.push_back(std::move(before));
  }
  again = done ? answer : drawn;
  return done;
}

Status Conversation::say(const std::string &text, const GenerationOptions &options, Generation::Listener listener,
                         uint64_t answerNumber) {
  again = 0;
  figures = {};
  const double begin = milliseconds();
  turns.push_back({"user", text});
  const size_t leftBefore = left;
  auto undo = [&](const Error &error) {
    turns.pop_back();
    left = leftBefore;
    return error;
  };
  auto tokens = fittingPrompt();
  if (!tokens)
    return undo(tokens.error());
  GenerationOptions how = options;
  how.answer = answerNumber;
  auto made = Generation::create(
      how, *tokens, tokenizer, {static_cast<int32_t>(session.of().head().vocabulary), static_cast<int64_t>(context())});
  if (!made)
    return undo(made.error());
  Generation &answer = **made;
  const double prepared = milliseconds();
  answer.interrupted = interrupted;
  answer.listener = std::move(listener);
  Status drawn = draw(*tokens, answer);
  figures.promptTokens = tokens->size();
  figures.promptSeconds = answer.prompted() ? (prepared - begin) / 1000 + answer.promptSeconds() : 0;
  figures.drawn = answer.tokens().size();
  if (answer.speculation()) {
    figures.guesses = answer.speculation()->figures();
    figures.guessingEnded = answer.speculation()->problem();
  }
  figures.tokensPerSecond = answer.tokensPerSecond();
  figures.full = answer.finish() == Finish::Length && figures.promptTokens + figures.drawn >= context();
  if (!drawn)
    return undo(drawn.error());
  if (answer.finish() == Finish::Interrupted && answer.tokens().empty())
    return undo(fail(ErrorCode::Interrupted, "chat: interrupted while reading the prompt"));
  turns.push_back({"assistant", answer.text()});
  return Done{};
}

} // namespace stepdown::run
