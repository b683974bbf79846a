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
  cached.clear();
  if (sequence >= 0)
    session.freeSequence(sequence);
  sequence = -1;
}

Result<std::vector<int32_t>> Conversation::prompt() const {
  std::vector<ChatMessage> said;
  for (const Message &message : turns)
    said.push_back({message.role, message.content});
  return chatPrompt(chatTemplate, tokenizer, said);
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

Status Conversation::say(const std::string &text, const Request &request, Generation::Listener listener) {
  figures = {};
  double begin = milliseconds();
  turns.push_back({"user", text});
  auto undo = [&](const Error &error) {
    turns.pop_back();
    return error;
  };
  auto tokens = prompt();
  if (!tokens)
    return undo(tokens.error());
  const stepdown_program &head = session.of().head();
  if (tokens->size() >= head.max_context)
    return undo(fail(ErrorCode::ContextFull,
                     "chat: expects a conversation below %u tokens, but it has %zu; /reset begins anew",
                     head.max_context, tokens->size()));
  auto generation = Generation::create(request, *tokens, tokenizer, static_cast<int32_t>(head.vocabulary),
                                       static_cast<int32_t>(head.max_context), 0);
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
  figures.answerSeconds = (milliseconds() - begin) / 1000 - figures.promptSeconds;
  turns.push_back({"assistant", answer.text()});
  if (answer.problem())
    return *answer.problem();
  return Done{};
}

} // namespace stepdown::run
