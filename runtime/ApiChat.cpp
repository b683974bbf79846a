// The part of include/stepdown/Runtime.h that makes prompts of messages.
#include "lib/Base/SizedOptions.h"
#include "lib/Text/ChatPrompt.h"
#include "runtime/ApiHandles.h"

using namespace stepdown;
using namespace stepdown::api;

namespace {

Result<const ChatTemplate *> templateOf(const SharedModel &shared) {
  std::lock_guard<std::mutex> lock(shared.mutex);
  return madeOnce(shared.chatTemplate, [&] { return chatTemplateOf(shared.model->metadata()); });
}

/// What a prompt is made of.
struct Prompt {
  const Tokenizer *tokenizer;
  const ChatTemplate *chatTemplate;
  ChatContext context; ///< what the template sees beside the messages
  const char *json;    ///< more messages, or null
};

Result<Prompt> promptFor(const stepdown_model &model, const stepdown_chat_options *wanted) {
  auto options = takeOptions(wanted, "stepdown_chat_options");
  if (!options)
    return options.error();
  Prompt prompt;
  prompt.json = options->messages;
  if (options->variables) {
    auto given = ChatContext::fromJson(options->variables, "variables");
    if (!given)
      return given.error();
    prompt.context = std::move(*given);
  }
  if (options->no_answer)
    prompt.context.set("add_generation_prompt", false);
  auto tokenizer = tokenizerOf(*model.shared);
  if (!tokenizer)
    return tokenizer.error();
  prompt.tokenizer = *tokenizer;
  auto chatTemplate = templateOf(*model.shared);
  if (!chatTemplate)
    return chatTemplate.error();
  prompt.chatTemplate = *chatTemplate;
  return prompt;
}

} // namespace

stepdown_status stepdown_model_chat_tokens(const stepdown_model *model, const stepdown_message *messages,
                                           size_t message_count, const stepdown_chat_options *options, int32_t *ids,
                                           size_t capacity, size_t *count) {
  *count = 0;
  return guarded([&]() -> Status {
    auto prompt = promptFor(*model, options);
    if (!prompt)
      return prompt.error();
    std::vector<ChatMessage> said;
    for (size_t i = 0; i < message_count; ++i)
      said.push_back({messages[i].role, messages[i].content});
    auto tokens = chatPrompt(*prompt->chatTemplate, *prompt->tokenizer, said, std::move(prompt->context), prompt->json);
    if (!tokens)
      return tokens.error();
    return giveIds(*tokens, ids, capacity, count);
  });
}

stepdown_status stepdown_model_chat_text(const stepdown_model *model, const stepdown_message *messages,
                                         size_t message_count, const stepdown_chat_options *options, char *text,
                                         size_t capacity, size_t *length) {
  *length = 0;
  return guarded([&]() -> Status {
    auto prompt = promptFor(*model, options);
    if (!prompt)
      return prompt.error();
    setTokens(prompt->context, *prompt->tokenizer);
    for (size_t i = 0; i < message_count; ++i)
      prompt->context.addMessage(messages[i].role, messages[i].content);
    if (prompt->json)
      if (Status added = prompt->context.addMessages(prompt->json, "messages",
                                                     [](std::string_view said) { return std::string(said); });
          !added)
        return added;
    auto rendered = prompt->chatTemplate->render(prompt->context);
    if (!rendered)
      return rendered.error();
    return giveText(*rendered, text, capacity, length);
  });
}
