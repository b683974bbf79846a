// Keeps a user from forging the control tokens of a chat.
//
// A chat template turns messages into one text, in which "<|im_end|>" that the template wrote ends a turn, and the same
// letters in a message must not. The text alone does not tell them apart. So what a message has of control tokens goes
// through the template as marks (noncharacters of Unicode around a number), which no template looks for or changes;
// where the marks come out, the letters are put back and encoded as plain text.
//
//   UserText users(tokenizer);
//   context.addMessage("user", users.shield(message));
//   auto prompt = chat.render(context);
//   auto ids = users.encode(*prompt);        // control tokens of the template only; no second BOS
#pragma once
#include "lib/Text/Tokenizer/Tokenizer.h"

namespace stepdown {

/// For one conversation; used by one thread at a time. The tokenizer must outlive it.
class UserText {
public:
  explicit UserText(const Tokenizer &tokenizer) : tokenizer(&tokenizer) {}
  /// `text` with a mark in place of every control token in it.
  std::string shield(std::string_view text);
  /// What was rendered from shielded texts, as a reader would see it; `ranges`, when given, receives the places of what
  /// was shielded.
  std::string reveal(std::string_view rendered, std::vector<TextRange> *ranges = nullptr) const;
  /// The ids of what was rendered from shielded texts. `addSpecial` as in EncodeOptions. Errors as those of
  /// Tokenizer::encode.
  Result<std::vector<int32_t>> encode(std::string_view rendered, bool addSpecial = false) const;

private:
  const Tokenizer *tokenizer;
  std::vector<std::string> shielded;
};

} // namespace stepdown
