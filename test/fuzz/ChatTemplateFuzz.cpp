// Any template text with any context: no crash, no hang, nothing beyond the limits, and the same text twice. The input
// is a template, or a template, a NUL and the JSON of its context.
#include "lib/Text/ChatTemplate/ChatTemplate.h"

#include <cstdlib>

using namespace stepdown;

namespace {

void require(bool condition) {
  if (!condition)
    std::abort();
}

const ChatContext &usual() {
  static const ChatContext context = *ChatContext::fromJson(
      R"({"messages": [{"role": "system", "content": "S \u00fc\ud83d\ude00"}, {"role": "user", "content": "Hi 'q' \"d\""},
          {"role": "assistant", "content": null, "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1.5}}}]}],
          "tools": [{"type": "function", "function": {"name": "g", "parameters": {"b": [1, true, null]}}}],
          "s": "Hello World", "n": null, "t": true, "i": 7, "x": 2.5, "l": [3, 1, 2], "d": {"b": 1, "a": 2},
          "bos_token": "<s>", "eos_token": "</s>"})",
      "context");
  return context;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  std::string_view input(reinterpret_cast<const char *>(data), size);
  size_t end = input.find('\0');
  Result<ChatContext> given = end == input.npos ? usual() : ChatContext::fromJson(input.substr(end + 1), "context");
  Result<ChatTemplate> chat = ChatTemplate::parse(input.substr(0, end), "template");
  if (!chat || !given)
    return 0;
  RenderOptions options;
  options.limits.steps = 30000;
  options.limits.outputBytes = 1 << 16;
  options.limits.memoryBytes = 16 << 20;
  require(static_cast<bool>(setNow(options, "2026-11-21T09:30:00")));
  Result<std::string> once = chat->render(*given, options), again = chat->render(*given, options);
  require(static_cast<bool>(once) == static_cast<bool>(again));
  require(once ? *once == *again && once->size() <= options.limits.outputBytes
               : once.error().code == again.error().code && !once.error().message.empty());
  return 0;
}
