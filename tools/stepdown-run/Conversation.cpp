#include "tools/stepdown-run/Conversation.h"

#include "runtime/ChatPrompt.h"
#include "tools/stepdown-run/Console.h"
#include <algorithm>

namespace stepdown::run {

Conversation::Conversation(Session &session, const Tokenizer &tokenizer, const ChatTemplate &chatTemplate)
    : session(session), tokenizer(tokenizer), chatTemplate(chatTemplate) {}

Conversation::~Conversation() { reset(); }

void Conversation::reset() {
  turns.clear();
  left = 0;
  cached.clear();
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

size_t Conversation::context() const {
  return std::min<size_t>(session.of().head().max_context, session.kv().capacity());
}

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

// Brings the sequence to `tokens`, keeping what it shares with them but the last, whose logits are wanted.
Status Conversation::feed(const std::vector<int32_t> &tokens) {
  if (sequence < 0) {
    Result<int32_t> created = session.createSequence();
    if (!created)
      return created.error();
    sequence = *created;
    cached.clear();
  }
  size_t shared = std::mismatch(cached.begin(), cached.end(), tokens.begin(), tokens.end()).first - cached.begin();
  shared = std::min(shared, tokens.size() - 1);
  // A window that was given back cannot be had again: then everything is computed anew.
  if (!session.truncate(sequence, static_cast<int32_t>(shared))) {
    if (Status ok = session.truncate(sequence, 0); !ok)
      return ok;
    shared = 0;
  }
  cached.assign(tokens.begin(), tokens.begin() + shared);
  figures.reused = shared;
  std::vector<Session::Token> batch;
  while (cached.size() < tokens.size()) {
    batch.clear();
    for (size_t t = cached.size(); t < tokens.size() && batch.size() < session.roomForTokens(); ++t)
      batch.push_back({sequence, tokens[t], t + 1 == tokens.size()});
    if (Status ok = session.submit(batch.data(), batch.size()); !ok)
      return ok;
    if (Status ok = session.step(); !ok)
      return ok;
    cached.insert(cached.end(), tokens.begin() + cached.size(), tokens.begin() + cached.size() + batch.size());
    if (interrupted())
      return fail(ErrorCode::Interrupted, "chat: interrupted while reading the prompt");
  }
  return Done{};
}

Status Conversation::regenerate(const Request &request, Generation::Listener listener) {
  if (turns.size() < 2 || turns.back().role != "assistant" || turns[turns.size() - 2].role != "user")
    return fail(ErrorCode::RequestField, "chat: expects an answer to draw again, but there is none");
  const std::vector<Message> before = turns;
  const uint64_t drawn = again, answer = drawn + 1;
  const std::string said = turns[turns.size() - 2].content;
  turns.resize(turns.size() - 2);
  Status done = say(said, request, std::move(listener), answer);
  if (!done)
    turns = before;
  again = done ? answer : drawn;
  return done;
}

Status Conversation::say(const std::string &text, const Request &request, Generation::Listener listener,
                         uint64_t answerNumber) {
  again = 0;
  figures = {};
  double begin = milliseconds();
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
  auto generation =
      Generation::create(request, *tokens, tokenizer, static_cast<int32_t>(session.of().head().vocabulary),
                         static_cast<int32_t>(context()), answerNumber);
  if (!generation)
    return undo(generation.error());
  if (Status fed = feed(*tokens); !fed)
    return undo(fed.error());
  Generation &answer = **generation;
  answer.listener = std::move(listener);
  figures.promptTokens = tokens->size();
  figures.promptSeconds = (milliseconds() - begin) / 1000;
  for (int32_t id; (id = answer.draw(session.logits(0))) >= 0;) {
    Session::Token token{sequence, id, true};
    Status stepped = session.submit(&token, 1);
    if (stepped)
      stepped = session.step();
    if (!stepped) {
      answer.failed(stepped.error());
      break;
    }
    cached.push_back(id);
  }
  figures.drawn = answer.tokens().size();
  figures.full = answer.finishReason() == "length" && figures.promptTokens + figures.drawn >= context();
  figures.answerSeconds = (milliseconds() - begin) / 1000 - figures.promptSeconds;
  turns.push_back({"assistant", answer.text()});
  if (answer.problem())
    return *answer.problem();
  return Done{};
}

} // namespace stepdown::run
