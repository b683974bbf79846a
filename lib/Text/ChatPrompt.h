// The prompt that a model's chat template makes of messages. What a message says never becomes a control token
// (lib/Text/Tokenizer/UserText.h); what the template writes around it does.
#pragma once
#include "lib/Checkpoint/Metadata.h"
#include "lib/Text/ChatTemplate/ChatTemplate.h"
#include "lib/Text/Tokenizer/Tokenizer.h"
#include <string_view>
#include <vector>

namespace stepdown {

struct ChatMessage {
  std::string_view role, content;
};

/// The template that a model's metadata carry; E0201 where there is none, E0401.
Result<ChatTemplate> chatTemplateOf(const Metadata &metadata);

/// Sets bos_token and eos_token as the tokenizer has them, "" where it has none, unless `context` has them.
void setTokens(ChatContext &context, const Tokenizer &tokenizer);

/// The ids of the prompt of `messages`, appended to those of `context`, which are taken as they are, and of `json`, an
/// array of more of them, of any form that the template reads; E04xx, E03xx. `tools`, or null, is a JSON array that the
/// template sees as its variable of that name.
Result<std::vector<int32_t>> chatPrompt(const ChatTemplate &chatTemplate, const Tokenizer &tokenizer,
                                        const std::vector<ChatMessage> &messages, ChatContext context = {},
                                        const char *json = nullptr, const char *tools = nullptr);

} // namespace stepdown
