#include "lib/Text/ChatPrompt.h"

#include "lib/Text/Tokenizer/UserText.h"

namespace stepdown {

Result<ChatTemplate> chatTemplateOf(const Metadata &metadata) {
  auto text = metadata.string("tokenizer.chat_template");
  if (!text)
    return text.error();
  return ChatTemplate::parse(*text, metadata.file() + ": tokenizer.chat_template");
}

void setTokens(ChatContext &context, const Tokenizer &tokenizer) {
  context.setDefault("bos_token", tokenizer.bos() >= 0 ? tokenizer.piece(tokenizer.bos()) : "");
  context.setDefault("eos_token", tokenizer.eos() >= 0 ? tokenizer.piece(tokenizer.eos()) : "");
}

Result<std::vector<int32_t>> chatPrompt(const ChatTemplate &chatTemplate, const Tokenizer &tokenizer,
                                        const std::vector<ChatMessage> &messages, ChatContext context, const char *json,
                                        const char *tools) {
  setTokens(context, tokenizer);
  // Marks are numbered from one prompt to the next, so every prompt begins with none.
  UserText users(tokenizer);
  for (const ChatMessage &message : messages)
    context.addMessage(message.role, users.shield(message.content));
  const auto shield = [&](std::string_view said) { return users.shield(said); };
  if (json)
    if (Status added = context.addMessages(json, "messages", shield); !added)
      return added.error();
  if (tools)
    if (Status set = context.setJson("tools", tools, shield); !set)
      return set.error();
  auto text = chatTemplate.render(context);
  if (!text)
    return text.error();
  return users.encode(*text);
}

} // namespace stepdown
